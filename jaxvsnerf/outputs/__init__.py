"""What a run leaves behind: pictures, video, mesh, report. From arrays: needs no field."""
