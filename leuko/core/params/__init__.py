"""The settings: `params.yaml`, checked against typed models, one module for every group of settings."""
