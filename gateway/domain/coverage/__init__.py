"""Coverage: what cameras see, what must be seen, and what cannot be seen now.

place.py     what must be seen, what stands in the way, where nothing may be seen, where one may build
view.py      what a camera's state means for its view
model.py     everything computed once from the archive: views, points, who sees which point
rows.py      what is written: blind spots and the intervals of places
"""
