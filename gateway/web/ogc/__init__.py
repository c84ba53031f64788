"""OGC API - Features, Part 1 (core, GeoJSON, OpenAPI 3.0): every layer for QGIS, GDAL and the like."""
