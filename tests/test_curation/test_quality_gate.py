"""Verdicts of the gate: thresholds, their order, and pools that are bad on purpose."""

import cv2
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from s5_mm.curation.gate.quality import QUALITY_COLUMNS, Quality, measure_quality
from s5_mm.curation.gate.quality_gate import REASONS, UNREADABLE, QualityGate
from s5_mm.curation.planning.crops import read_crops
from s5_mm.io.images.header import ImageError
from s5_mm.testing import DEFECTS, adversarial_pool, draw_scene, spoil

GOOD = Quality(
    padding=0.0,
    no_data=0.0,
    constant=0.0,
    border=0.0,
    flat=0.1,
    contrast=30.0,
    repeated=0.0,
    detail=0.2,
    stripes=0.0,
    cloud=0.1,
    colour=20.0,
)
# A figure, the threshold of the default gate, its reason and whether more is worse.
RULES = [
    ('padding', 0.5, 'padding', True),
    ('no_data', 0.05, 'no_data', True),
    ('flat', 0.98, 'flat', True),
    ('contrast', 3.0, 'flat', False),
    ('constant', 0.3, 'constant', True),
    ('border', 0.02, 'border', True),
    ('repeated', 0.2, 'upsampled', True),
    ('detail', 0.02, 'upsampled', False),
    ('stripes', 0.05, 'stripes', True),
    ('cloud', 0.8, 'cloud', True),
]
# Defects that the gate sees in the pixels, and what it may call them.
CALLED = {
    'flat': {'flat'},
    'white': {'flat'},
    'no_data': {'no_data'},
    'stripes': {'stripes', 'border'},
    'upsampled': {'upsampled', 'flat'},
    'border': {'border', 'constant'},
}


def _columns(*rows):
    table = np.array(rows, np.float32).reshape(-1, len(QUALITY_COLUMNS))
    return dict(zip(QUALITY_COLUMNS, table.T, strict=True))


def _spoilt(scene, kind, seed):
    data = spoil(scene, kind, np.random.default_rng(seed))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[..., ::-1])


@pytest.mark.parametrize(('name', 'threshold', 'reason', 'above'), RULES)
def test_each_threshold(name, threshold, reason, above):
    step = 1e-3 if above else -1e-3
    columns = _columns(
        GOOD,
        GOOD._replace(**{name: threshold}),
        GOOD._replace(**{name: threshold + step}),
    )
    assert QualityGate().reasons(columns).tolist() == ['', '', reason]
    off = QualityGate.from_config({name: None})
    assert off.reasons(columns).tolist() == ['', '', '']
    other = threshold / 2 if above else threshold * 2
    moved = QualityGate.from_config({name: other}).reasons(columns)
    assert moved.tolist() == ['', reason, reason]


def test_grey_only_if_asked_for():
    columns = _columns(GOOD, GOOD._replace(colour=0.0))
    assert QualityGate().reasons(columns).tolist() == ['', '']
    assert QualityGate(colour=0.5).reasons(columns).tolist() == ['', 'grey']


def test_the_first_reason_is_given_and_unreadable_before_all():
    worst = [0.0 if name in ('contrast', 'detail') else 1.0 for name in QUALITY_COLUMNS]
    figures = _columns(GOOD, worst, [np.nan] * len(worst), worst)
    reasons = QualityGate().reasons(figures, np.array([False, False, True, True]))
    assert reasons.tolist() == ['', 'padding', UNREADABLE, UNREADABLE]
    order = [rule[0] for rule in RULES]
    for i, (_, _, reason, _) in enumerate(RULES):
        gate = QualityGate(**dict.fromkeys(order[:i]))
        assert gate.reasons(_columns(worst)).tolist() == [reason]


def test_tables_and_nulls():
    rows = _columns(GOOD, GOOD._replace(flat=1.0))
    table = pa.table({k: [*v.tolist(), None] for k, v in rows.items()})
    reasons = QualityGate().reasons(table, np.array([False, False, True]))
    assert reasons.tolist() == ['', 'flat', UNREADABLE]
    assert set(reasons.tolist()) <= set(REASONS)
    assert QualityGate().reasons(_columns()).shape == (0,)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ({'no_dat': 0.1}, r"unknown key 'no_dat', did you mean 'no_data'\?; allowed"),
        ({'xyz': 0.1}, r"unknown key 'xyz'; allowed are \['padding', 'no_data'"),
        ({'flat': 1.1}, r'gate\.flat is 1\.1, allowed are 0 to 1 and None'),
        ({'detail': -0.1}, r'gate\.detail is -0\.1, allowed are 0 to 1'),
        ({'contrast': 200}, r'gate\.contrast is 200, allowed are 0 to 127\.5'),
        ({'colour': float('nan')}, r'gate\.colour is nan, allowed are 0 to 255'),
        ({'cloud': '0.5'}, r"gate\.cloud is '0\.5', allowed"),
        ({'border': True}, r'gate\.border is True, allowed'),
    ],
)
def test_refuses_configs(config, message):
    with pytest.raises(ValueError, match=message):
        QualityGate.from_config(config)


def test_refuses_figures():
    figures = _columns(GOOD, GOOD._replace(cloud=np.nan))
    with pytest.raises(ValueError, match="'cloud' is no number for 1 crops that can"):
        QualityGate().reasons(figures)
    with pytest.raises(ValueError, match=r"'cloud' has shape \(1,\), expected \(2,\)"):
        QualityGate().reasons(figures | {'cloud': np.zeros(1)})
    del figures['detail']
    with pytest.raises(ValueError, match=r"no figures \['detail'\], found \['padding'"):
        QualityGate().reasons(figures)


@pytest.mark.parametrize(('size', 'count'), [(128, 12), (256, 5), (512, 2)])
def test_clean_scenes_pass_and_spoilt_ones_do_not(size, count):
    gate = QualityGate()
    for index in range(count):
        scene = draw_scene(11, index, size).image
        bad = [_spoilt(scene, kind, (size, index)) for kind in CALLED]
        rows = [measure_quality(image) for image in (scene, *bad)]
        first, *others = gate.reasons(_columns(*rows)).tolist()
        assert first == '', rows[0]
        for kind, reason, row in zip(CALLED, others, rows[1:], strict=True):
            assert reason in CALLED[kind], (kind, reason, row)


@pytest.mark.parametrize('quality', [60, 90])
def test_compressed_scenes_and_textures_pass(quality):
    rng = np.random.default_rng(5)
    coarse = rng.normal(0, 60, (24, 24, 3)).astype(np.float32)
    texture = cv2.resize(coarse, (192, 192), interpolation=cv2.INTER_CUBIC)
    texture += rng.normal(0, 8, (192, 192, 1)).astype(np.float32) + 120
    for image in (np.clip(texture, 0, 255), draw_scene(0, 8, 192).image):
        data = cv2.imencode(
            '.jpg', image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        found = measure_quality(cv2.imdecode(data, cv2.IMREAD_COLOR))
        assert QualityGate().reasons(_columns(found)).tolist() == [''], found


def test_compressed_no_data_is_found():
    scene = _spoilt(draw_scene(0, 9, 192).image, 'no_data', 3)
    data = cv2.imencode('.jpg', scene, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    found = measure_quality(cv2.imdecode(data, cv2.IMREAD_COLOR))
    assert QualityGate().reasons(_columns(found)).tolist() == ['no_data']


def test_pool(tmp_path):
    pool = adversarial_pool(tmp_path / 'pool', 40, size=96, seed=2)
    names = sorted(path.name for path in pool.folder.iterdir())
    assert names == list(pool.defects)
    kinds = [kind for kind in pool.defects.values() if kind]
    assert sorted(kinds) == sorted(DEFECTS)
    rows, unreadable = [], []
    for name in names:
        window = np.array([[0, 0, 96, 96]])
        try:
            crop = next(read_crops(str(pool.folder / name), window, 96))
            rows.append(measure_quality(crop))
        except ImageError:
            rows.append([np.nan] * len(QUALITY_COLUMNS))
        unreadable.append(np.isnan(rows[-1][0]))
    reasons = QualityGate().reasons(_columns(*rows), np.array(unreadable))
    for (name, kind), reason in zip(pool.defects.items(), reasons, strict=True):
        if kind in ('truncated', 'empty'):
            assert reason == UNREADABLE, name
        else:
            assert reason in CALLED.get(kind, {''}), (name, kind, reason)


def test_pool_is_the_same_again_and_checks_its_arguments(tmp_path):
    first = adversarial_pool(tmp_path / 'a', 10, 32, 0.5, ['flat', 'empty'])
    again = adversarial_pool(tmp_path / 'b', 10, 32, 0.5, ['flat', 'empty'])
    assert first.defects == again.defects
    assert sorted(first.defects.values()) == [''] * 5 + ['empty'] * 2 + ['flat'] * 3
    for name, kind in first.defects.items():
        assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()
        if kind == 'flat':
            pixels = np.asarray(Image.open(first.folder / name)).reshape(-1, 3)
            assert (pixels == pixels[0]).all()
    with pytest.raises(ValueError, match=r'share=1\.5, expected 0 to 1'):
        adversarial_pool(tmp_path / 'c', 4, share=1.5)
    with pytest.raises(ValueError, match='kinds: none found'):
        adversarial_pool(tmp_path / 'c', 4, kinds=())
    with pytest.raises(ValueError, match=r"broken: \['torn'\] found"):
        adversarial_pool(tmp_path / 'c', 10, kinds=['torn'])
