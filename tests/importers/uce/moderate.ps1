python trainscripts/uce_sd_erase.py `
  --edit_concepts 'mud; rust' `
  --concept_type unsafe `
  --expand_prompts 'true'
