"""A page on this computer on which one drops images and sees what a model says of them."""
