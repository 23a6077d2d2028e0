"""From records to the report: read, counted, composed and published, worded, drawn, a file each."""
