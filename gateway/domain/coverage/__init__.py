"""Coverage: what cameras see, what must be seen, and what cannot be seen now.

place.py     what must be seen, what stands in the way, where nothing may be seen, where one may build
view.py      what a camera's state means for its view
model.py     everything computed once from the archive: views, points, who sees which point
rows.py      what is written: blind spots and the intervals of places

plane.py            degrees and metres
ladder.py optics.py what is data: pixel densities, place kinds, assumptions, tolerances
archive_view.py     what the archive says of each view, and what is assumed where it is silent
sectors.py          the sectors of views: certain core, expected, utmost
line_of_sight.py    what buildings leave of them
points.py           sample points of places
build.py            all of it together: the model
bounds.py survey.py how far to trust it, and what to measure first
geometry_check.py   why a geometry of an import cannot be used
"""
