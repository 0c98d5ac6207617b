"""What a client may do, whatever it speaks: the routes and the frames both call these."""
