"""From records to the report: read and counted, composed and published, worded, drawn, a file each."""
