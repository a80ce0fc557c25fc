"""The command that folds a model of several data sets into one plain model each."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample

from s5_mm.checkpoints import CheckpointError
from s5_mm.cli.config import load_config
from s5_mm.cli.meta import count_params
from s5_mm.registry import MODELS
from s5_mm.utils.routing import RoutingError

from ..test_end_to_end.toy_mdf import (
    ROOT,
    SIZE,
    TOY,
    call_tool,
    figures,
    run_tool,
    toy_config,
    write_toy,
)

TOOL = 'model_converters/fold_experts.py'
# A protocol of its own for each data set.
PROTOCOLS = dict(
    scenes=dict(mode='whole', resize=(SIZE, SIZE), _delete_=True),
    cover=dict(mode='whole', flip=['horizontal'], _delete_=True),
    raster=dict(
        mode='slide',
        crop_size=(SIZE, SIZE),
        stride=(16, 16),
        average='probabilities',
        _delete_=True,
    ),
)
BASES = dict(
    moe=('moe-mdf_vit-t_dubai-korea-hrsc', tuple(TOY)),
    dense=('mdf_vit-t_dubai-korea-hrsc', tuple(TOY)),
    single=('mdf_vit-t_dubai-korea-hrsc', ('cover',)),
)


def _random_model(cfg):
    """A model no part of which is as it was initialised."""
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    generator = torch.Generator().manual_seed(0)
    for value in model.state_dict().values():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(noise.abs() + 0.5 if value.ndim == 1 else noise / 5)
    return model


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp('toy_mdf'))


@pytest.fixture(scope='module', params=BASES)
def folded(request, data, tmp_path_factory):
    """Config, weights, figures, and the folder with the folded models."""
    folder = tmp_path_factory.mktemp(request.param)
    base, names = BASES[request.param]
    changes = {f'model__datasets__{n}__test_cfg': PROTOCOLS[n] for n in names}
    cfg = toy_config(data, base, names, **changes)
    cfg.dump(folder / 'big.py')
    state = _random_model(cfg).state_dict()
    torch.save(dict(meta=dict(), state_dict=state), folder / 'big.pth')
    run = run_tool if request.param == 'moe' else call_tool
    said = run(TOOL, folder / 'big.py', folder / 'big.pth', folder / 'out')
    for name in names:
        assert f'{folder}/out/{name}.pth: ' in said
    assert {path.name for path in (folder / 'out').iterdir()} == {
        f'{name}.{kind}' for name in names for kind in ('py', 'pth')
    }
    return folder, names


def _load(config, checkpoint):
    cfg = load_config(str(config))
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    model.load_state_dict(state)  # strict
    return model.double().eval()


def _samples(name, count):
    meta = dict(
        dataset_name=name,
        img_path=f'{name}.png',
        ori_shape=(48, 56),
        img_shape=(48, 56),
        pad_shape=(48, 56),
    )
    return [SegDataSample(metainfo=dict(meta)) for _ in range(count)]


def test_outputs_are_those_of_the_path(folded):
    folder, names = folded
    big = _load(folder / 'big.py', folder / 'big.pth')
    torch.manual_seed(1)
    images = torch.randn(2, 3, 48, 56, dtype=torch.float64)
    seen = []
    for name in names:
        plain = _load(folder / 'out' / f'{name}.py', folder / 'out' / f'{name}.pth')
        with torch.no_grad():
            want = big.encode_decode(images, name)
            got = plain.encode_decode(images, [s.metainfo for s in _samples(name, 2)])
            wants = big.predict(images, _samples(name, 2))
            gots = plain.predict(images, _samples(name, 2))
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
        for one, two in zip(wants, gots, strict=True):
            torch.testing.assert_close(
                two.seg_logits.data, one.seg_logits.data, rtol=1e-12, atol=1e-12
            )
            assert two.pred_sem_seg.data.equal(one.pred_sem_seg.data)
        assert len(want[0].argmax(0).unique()) > 1
        seen.append(want[:, :3])
    for one, two in zip(seen, seen[1:], strict=False):
        assert not torch.allclose(one, two, atol=0.1)


def test_size_is_that_of_a_dense_model_for_one_data_set(folded, data):
    folder, names = folded
    big = _load(folder / 'big.py', folder / 'big.pth')
    for name in names:
        plain = _load(folder / 'out' / f'{name}.py', folder / 'out' / f'{name}.pth')
        alone = MODELS.build(toy_config(data, BASES['single'][0], (name,)).model)
        assert count_params(plain) == count_params(alone)
        assert type(plain.backbone).__name__ == 'ViT'
        kept = torch.load(folder / 'out' / f'{name}.pth', weights_only=True)
        assert not [key for key in kept['state_dict'] if 'expert' in key]
        assert kept['meta']['dataset_name'] == name
        text = (folder / 'out' / f'{name}.py').read_text()
        assert 'MoE' not in text
        others = [other for other in TOY if other != name]
        assert not [other for other in others if f'{other}=' in text]
    assert (count_params(big) == count_params(plain)) == (len(names) == 1)


def test_figures_are_those_of_the_big_model(folded, tmp_path):
    folder, names = folded
    big = figures(
        call_tool(
            *('test.py', folder / 'big.py', folder / 'big.pth'),
            *('--work-dir', tmp_path / 'big'),
        )
    )
    for name in names:
        process = len(names) > 1 and name == 'raster' and 'moe' in folder.name
        said = (run_tool if process else call_tool)(
            *('test.py', folder / 'out' / f'{name}.py'),
            *(folder / 'out' / f'{name}.pth', '--work-dir', tmp_path / name),
        )
        want = {key: value for key, value in big.items() if key.startswith(name)}
        want['average'] = big[f'{name}/mIoU']
        assert figures(said) == want
        assert 0 < want[f'{name}/OA'] < 100


# -- what cannot be folded ------------------------------------------------------------
@pytest.fixture(scope='module')
def big(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('wrong')
    cfg = toy_config(data)
    cfg.dump(folder / 'big.py')
    return folder, cfg


def _save(path, model):
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def test_folded_model_refuses_another_data_set(folded):
    folder, names = folded
    name = names[-1]
    plain = _load(folder / 'out' / f'{name}.py', folder / 'out' / f'{name}.pth')
    images = torch.zeros(1, 3, 48, 56, dtype=torch.float64)
    with pytest.raises(RoutingError, match=rf"'rural'.*this model has \['{name}'\]"):
        plain.predict(images, _samples('rural', 1))


def test_only_the_data_sets_that_are_asked_for(big, tmp_path):
    folder, cfg = big
    weights = _save(tmp_path / 'big.pth', _random_model(cfg))
    out = tmp_path / 'out'
    call_tool(TOOL, folder / 'big.py', weights, out, '--datasets', 'cover')
    assert {path.name for path in out.iterdir()} == {'cover.py', 'cover.pth'}
    with pytest.raises(RoutingError, match=r"no data set 'rural' to fold.*'scenes'"):
        call_tool(TOOL, folder / 'big.py', weights, out, '--datasets', 'rural')


def test_data_sets_in_a_list(big, tmp_path):
    folder, cfg = big
    weights = _save(tmp_path / 'big.pth', _random_model(cfg))
    listed = copy.deepcopy(cfg)
    listed.model.datasets = [
        dict(name=name, **own) for name, own in cfg.model.datasets.items()
    ]
    listed.dump(tmp_path / 'listed.py')
    for config in (folder / 'big.py', tmp_path / 'listed.py'):
        call_tool(TOOL, config, weights, tmp_path / config.stem)
    first, second = (tmp_path / name for name in ('big', 'listed'))
    for path in sorted(first.iterdir()):
        if path.suffix == '.py':
            assert (second / path.name).read_text() == path.read_text()


def test_checkpoint_of_a_backbone_is_not_folded(big, tmp_path):
    folder, cfg = big
    state = {
        key: value
        for key, value in _random_model(cfg).state_dict().items()
        if key.startswith('backbone.')
    }
    torch.save(dict(state_dict=state), tmp_path / 'backbone.pth')
    with pytest.raises(ValueError, match=r'decode_heads\..*fold a trained model'):
        call_tool(TOOL, folder / 'big.py', tmp_path / 'backbone.pth', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_checkpoint_of_other_data_sets_is_not_folded(big, data, tmp_path):
    folder, _ = big
    other = toy_config(data, names=('cover', 'raster'))
    weights = _save(tmp_path / 'other.pth', _random_model(other))
    with pytest.raises(CheckpointError, match=r"for \['cover', 'raster'\].*'scenes'"):
        call_tool(TOOL, folder / 'big.py', weights, tmp_path / 'out')


def test_config_of_a_plain_segmentor_is_not_folded(big, tmp_path):
    folder, cfg = big
    weights = _save(tmp_path / 'big.pth', _random_model(cfg))
    wrong = ROOT / 'configs' / 's4p' / 'vit-t_dubai.py'
    with pytest.raises(ValueError, match=r's5_mm\.FixMatch.*MultiDatasetSegmentor'):
        call_tool(TOOL, wrong, weights, tmp_path / 'out')


def test_config_that_tests_some_data_sets_folds_those(big, tmp_path):
    folder, cfg = big
    weights = _save(tmp_path / 'big.pth', _random_model(cfg))
    some = copy.deepcopy(cfg)
    for part in (some.test_dataloader.dataset.sources, some.test_evaluator.metrics):
        del part['scenes'], part['raster']
    some.dump(tmp_path / 'some.py')
    out = tmp_path / 'out'
    with pytest.raises(
        RoutingError, match=r"test_dataloader.* no data set 'scenes'.*\['cover'\]"
    ):
        call_tool(TOOL, tmp_path / 'some.py', weights, out)
    assert not out.exists()
    call_tool(TOOL, tmp_path / 'some.py', weights, out, '--datasets', 'cover')
    assert (out / 'cover.py').exists()
