"""What every stage needs: settings, classes, files, errors, all cores, the processor, memory and image grids."""
