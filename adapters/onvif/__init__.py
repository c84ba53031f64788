"""ONVIF over SOAP and HTTP: the ladder's steps 1 and 2."""
