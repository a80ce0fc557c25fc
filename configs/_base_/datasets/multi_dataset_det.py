# How data sets of oriented boxes become one stream, and how they are judged.  What
# belongs to a single data set (classes, files, pipelines) is in the file of its name
# beside this one.
data_root = 'data/'
train_dataloader = dict(
    batch_size=2,  # of each data set on each GPU, release
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    # Every data set is shuffled; the release reads DIOR-R in the same order each epoch.
    # 'equal' (release), 'size', dict(temperature=T), or a number for each data set.
    sampler=dict(type='s5_mm.MultiSourceSampler', shares='equal'),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=dict()),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(type='s5_mm.MultiSourceDataset', sources=dict()),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='s5_mm.MultiDatasetMetric', metrics=dict())
test_evaluator = val_evaluator
