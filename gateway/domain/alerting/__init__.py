"""Alerts (预警推送): from events and incidents to numbered messages for the center, and the loop back.

rows.py      what is written: links, event incidents, alerts, receipts, work orders, posture, mutes
"""
