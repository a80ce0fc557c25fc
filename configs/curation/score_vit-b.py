# Eq. 1 with ViT-B + UPerNet, trained by configs/s4p/vit-b_isaid_supervised.py.
_base_ = ['../_base_/models/score_upernet_vit-b.py', '../_base_/score_crops.py']
test_dataloader = dict(
    dataset=dict(
        metainfo=dict(
            classes=(
                'background', 'ship', 'storage_tank', 'baseball_diamond',
                'tennis_court', 'basketball_court', 'ground_track_field', 'bridge',
                'large_vehicle', 'small_vehicle', 'helicopter', 'swimming_pool',
                'roundabout', 'soccer_ball_field', 'plane', 'harbor',
            ),
        ),
    ),
)  # fmt: skip
