# What is known about sources that were made from images of benchmarks.  A rule takes
# effect where a collection has its name (patterns allowed) and the benchmark's split is
# protected.  `pattern` must fit the whole file name without its ending.
provenance = [
    # SAMRS's main_sam_hbox_semantic.py reads dior/JPEGImages-test beside the trainval
    # images, and its statistics are those of `trainvaltest`: SIOR has all 23,463 images
    # of DIOR, of which 11,738 (11726 to 23463) are the test set of DIOR and DIOR-R.
    dict(
        collection='samrs_sior*',
        pattern=r'(?P<id>\d{5})(?:_.*)?',
        image=r'\g<id>',
        benchmarks=['dior', 'dior_r'],
    ),
    # SAMRS SOTA is made of 1024-px patches of `dotav2_1024/trainval`.  DOTA-v2 keeps
    # the images of DOTA-v1 and their numbers, and iSAID annotates the images of
    # DOTA-v1: its train and val are in there.  Patches append their place to the
    # number.
    dict(
        collection='samrs_sota*',
        pattern=r'(?P<id>P\d{4,5})(?:_.*)?',
        image=r'\g<id>',
        benchmarks=['dota_v1', 'dota_v1_5', 'dota_v2', 'isaid'],
    ),
    # DOTA of any version, iSAID, and patches of them, as sources.
    dict(
        collection='dota*',
        pattern=r'(?P<id>P\d{4,5})(?:_.*)?',
        image=r'\g<id>',
        benchmarks=['dota_v1', 'dota_v1_5', 'dota_v2', 'isaid'],
    ),
    dict(
        collection='isaid*',
        pattern=r'(?P<id>P\d{4,5})(?:_.*)?',
        image=r'\g<id>',
        benchmarks=['dota_v1', 'dota_v1_5', 'dota_v2', 'isaid'],
    ),
    # DIOR and DIOR-R share their images.
    dict(
        collection='dior*',
        pattern=r'(?P<id>\d{5})(?:_.*)?',
        image=r'\g<id>',
        benchmarks=['dior', 'dior_r'],
    ),
]
# FAIR1M's numbers start anew in every split, so they tell no origin (SAMRS FAST).
