python trainscripts/uce_sd_erase.py --edit_concepts 'barn; silo' --guide_concepts 'meadow; hill' \
  --preserve_concepts 'cottage; windmill' --concept_type object --expand_prompts true --erase_scale 2 --lamb 0.25
python evalscripts/generate-images-sd.py --concept 'barn'
