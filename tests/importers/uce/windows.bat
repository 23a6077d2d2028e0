python uce_flux_edit.py ^
  --edit_concepts "barn, silo" ^
  --concept_type object ^
  --preserve_scale 0.5
