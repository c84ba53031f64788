"""Alerts (预警推送): from events and incidents to numbered messages for the center, and the loop back.

rows.py        what is written: links, event incidents, alerts, receipts, work orders, posture, mutes
correlate.py   which signals are one incident, and which explain others
rules.py       who is told, when, and why
posture.py     which posture holds where, which windows are planned, and who silenced what
hours.py       spans of the day
plan.py        which message is due to whom now: one open, few updates, one close
cloudevent.py  what a message says
loop.py        the steps of the center and of work orders, and what is overdue
titles.py      what each kind is called
"""
