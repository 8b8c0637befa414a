//! Fuzz targets as plain functions from bytes, so that a normal test can replay every seed.
