"""From records to the report: read, counted, composed, worded, drawn and published, a file each."""
