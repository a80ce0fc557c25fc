"""The page of the report: whole, safe, the same bytes, and there when parts are not."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pyarrow as pa
import pytest
from matplotlib.colors import to_hex

from s5_mm.curation.overlap.benchmarks import Benchmarks
from s5_mm.curation.overlap.provenance import Origin, Provenance
from s5_mm.curation.report import charts
from s5_mm.curation.report.page import build_page
from s5_mm.curation.report.text import duration, number, shown
from s5_mm.io.crop_tables.parquet import ManifestError, read_table, write_table

from .report_world import CROP, NASTY, SIDE, TITLE, read_record, report_again

VOID = {'meta', 'img', 'br', 'hr', 'link', 'input'}


class Reader(HTMLParser):
    """Checks that elements close in order and collects what a test asks for."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.sources, self.text = [], [], [], []
        self.links, self.anchors, self.attributes = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attrs:
            self.attributes.append(key)
            if key == 'src':
                self.sources.append(value)
            if key == 'href':
                self.links.append(value)
            if key == 'id':
                self.anchors.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def without_pictures(page: str) -> str:
    return '"'.join(part for part in page.split('"') if not part.startswith('data:'))


@pytest.fixture(scope='module')
def run(report_world):
    return report_world.parent / 'run'


@pytest.fixture(scope='module')
def page(run):
    return (run / 'report/report.html').read_text()


@pytest.fixture(scope='module')
def numbers(run):
    return json.loads((run / 'report/report.json').read_text())


@pytest.fixture
def copy(run, tmp_path):
    """The run once more, which a test may change."""
    shutil.copytree(run, tmp_path / 'run')
    return tmp_path / 'run'


def text_of(page: str) -> str:
    return ' '.join(Reader(page).text)


def test_is_well_formed_and_needs_nothing_else(page):
    reader = Reader(page)
    assert page.startswith('<!DOCTYPE html>')
    assert 'script' not in reader.tags
    assert not any(key.startswith('on') for key in reader.attributes)
    assert len(reader.sources) > 20
    assert all(source.startswith('data:image/') for source in reader.sources)
    assert set(reader.links) == {f'#{anchor}' for anchor in reader.anchors}
    bare = without_pictures(page)
    for outside in ('http:', 'https:', 'url(', '@import', '<link', 'file:'):
        assert outside not in bare
    assert 'prefers-color-scheme: dark' in page


def test_names_of_files_are_text(page):
    text = '\n'.join(Reader(page).text)
    assert text.count(TITLE) >= 2
    assert NASTY[0] in text
    assert NASTY[1] in text
    assert 'two\\nlines\\t\\x1b[31m.png' in text
    assert 'right\\u202eto left.png' in text
    assert NASTY[4] in text
    for char in ('\x1b', '\u202e', '<script', '<b>'):
        assert char not in page


def test_the_config_keeps_its_lines_and_is_text(report_world, run):
    config = read_record(report_world, run).config
    page = build_page_of(run, config=f'{config}x = "</pre>\x00"\n')
    shown_config = page.split('<pre>')[1].split('</pre>')[0]
    found = html.unescape(shown_config).splitlines()
    assert found == [*config.splitlines(), 'x = "</pre>\\x00"']


def build_page_of(run, **changes):
    """Build the page of a run without pictures and sheets."""
    numbers = json.loads((run / 'report/report.json').read_text())
    images = dict.fromkeys(
        ('entropy', 'entropy_by_cluster', 'quotas', 'classes', 'leaks'), b''
    )
    given = dict(title='t', numbers=numbers, config='', images=images, sheets=[])
    return build_page(**{**given, **changes})


def tile(sheet, column, top=0):
    """Return a picture of a row of a contact sheet, BGR."""
    return sheet[top + 6 : top + 150, 6 + column * 150 :][:, :144]


def test_pictures_are_those_of_the_crops(run, numbers):
    sheet = cv2.imread(str(run / 'report/sheet_best.png'))
    for i, crop in enumerate(numbers['sheets']['best'][:8]):
        file = run.parent / crop['collection'] / crop['path']
        data = np.frombuffer(file.read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        pixels = image[crop['y'] :, crop['x'] :][:CROP, :CROP]
        wanted = cv2.resize(pixels, (144, 144), interpolation=cv2.INTER_NEAREST)
        np.testing.assert_array_equal(tile(sheet, i), wanted)


def test_closest_matches_show_the_image_of_the_benchmark(run, numbers, page):
    """As the run found it, also where a rule of provenance knows only its name."""
    sheet = cv2.imread(str(run / 'report/sheet_leaks.png'))
    strips, shown_images = {}, set()
    for place in numbers['sheets']['leaks']:
        strips.setdefault(place['strip'], []).append(place)
    # A strip is a line of text of 24 px and a row of at most 8 pictures.
    for number_, places in enumerate(strips.values()):
        for column, place in list(enumerate(places))[1::2]:
            name = 'p7_0.png' if place['eval_image'] == 'p7' else place['eval_image']
            image = cv2.imread(str(run.parent / 'city' / place['split'] / name))
            assert image.shape == (SIDE, SIDE, 3)
            wanted = cv2.resize(image, (144, 144), interpolation=cv2.INTER_AREA)
            found = tile(sheet, column, top=24 + 180 * number_)
            np.testing.assert_array_equal(found, wanted)
            shown_images.add(f'{place["split"]}/{name}')
    assert shown_images == {'val/0.png', 'val/1.png', 'val/p7_0.png', 'test/2.png'}
    assert 'no picture' not in text_of(page)


def test_images_of_benchmarks_are_found_or_named(report_world):
    root = report_world.parent / 'city/val'
    benchmarks = Benchmarks({'city': {'val': {'root': str(root)}}})
    assert benchmarks.roots() == {'city/val': str(root)}
    none = Provenance([], {})
    for image in ('0.png', '0'):
        found = benchmarks.file(none, Origin('city', 'val', image))
        assert found == str(root / '0.png')
    with pytest.raises(FileNotFoundError, match="city/val has no image 'p7'"):
        benchmarks.file(none, Origin('city', 'val', 'p7'))


def test_files_of_a_report(run, page):
    names = {path.name for path in (run / 'report').iterdir()}
    sheets = ('best', 'borderline', 'typical', 'rejected', 'dropped', 'leaks')
    assert names == {
        *('report.html', 'report.json', 'entropy.png', 'entropy_by_cluster.png'),
        *('quotas.png', 'collections.png', 'classes.png', 'leaks.png', 'stage.json'),
        'sheet_duplicates.png',
        *(f'sheet_{name}.png' for name in sheets),
    }
    text = text_of(page)
    for heading in ('Overview', 'Time of the stages', 'Entropy', 'Quotas', 'Leakage'):
        assert heading in text
    assert 'Eq. 1 is the entropy above, Eq. 2 takes' in text


def test_what_identifies_the_run_is_written_and_shown(report_world, run, page):
    """``run.json`` and ``stages.json`` are the record that the page was made of."""
    record = read_record(report_world, run)
    written = json.loads((run / 'run.json').read_text())
    assert written == record.identity()
    assert written['benchmarks'] == {
        f'city/{name}': str(run.parent / 'city' / name) for name in ('val', 'test')
    }
    stages = json.loads((run / 'stages.json').read_text())
    assert stages == record.stages
    assert [stage['stage'] for stage in stages][-1] == 'materialize'
    files = {'manifest': 'manifest.parquet', 'sources': 'plan/sources.parquet'}
    for name, digest in record.hashes.items():
        file = run / files[name] if name in files else run.parent / 'model.pth'
        assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
        assert digest in page
    assert record.version in page


@pytest.mark.parametrize('missing', [0, 3])
def test_legend_of_the_quotas_has_the_colors_of_the_bars(missing):
    """Also of bars that are not there, which matplotlib would give its first blue."""
    wanted = np.array([4.0, 6.0])
    figure = charts.quotas.__wrapped__(wanted, wanted * 2, wanted - [0, missing])
    handles = figure.legends[0].legend_handles
    colors = [to_hex(handle.get_facecolor()) for handle in handles[:2]]
    assert colors == ['#0072b2', '#e69f00']
    assert to_hex(handles[2].get_edgecolor()) == '#882255'
    assert handles[2].get_facecolor()[3] == 0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        'filled, own quota',
        'filled beyond it, from other clusters',
        'wanted and not there',
    ]


def test_same_run_same_bytes_whatever_the_settings(report_world, run, copy):
    import matplotlib

    with matplotlib.rc_context({'font.size': 20, 'axes.facecolor': 'black'}):
        report_again(report_world, copy)
    one, two = run / 'report', copy / 'report'
    names = {path.name for path in one.iterdir()} - {'stage.json'}
    assert {path.name for path in two.iterdir()} - {'stage.json'} == names
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_vanished_and_changed_files_get_placeholders(
    report_world, run, numbers, tmp_path
):
    """In a copy of everything: a run whose data were moved, and lost in part."""
    root = tmp_path / 'moved'
    shutil.copytree(run.parent, root)
    best = numbers['sheets']['best']
    gone, torn, small = sorted({f'{c["collection"]}/{c["path"]}' for c in best})[:3]
    (root / gone).unlink()
    (root / torn).write_bytes(b'no image')
    cv2.imwrite(str(root / small), np.zeros((20, 20, 3), np.uint8))
    shutil.rmtree(root / 'city/test')
    (root / 'city/val/p7_0.png').unlink()
    stale = root / 'run/report/sheet_leaks.png'
    before = stale.read_bytes()
    text = text_of(report_again(report_world, root / 'run', data_root=f'{root}/'))
    assert str(root / 'sea') in (root / 'run/run.json').read_text()
    for reason in (
        'no picture: the file cannot be read (No such file or directory)',
        'the file has changed since it was planned',
        "no picture: city/val has no image 'p7'",
        f'no picture: {root}/city/test/: expected a folder of images, it is missing',
    ):
        assert reason in text, reason
    assert stale.read_bytes() != before


@pytest.mark.parametrize('kept', ['unselected', 'rejected', 'none'])
def test_nothing_selected_scored_or_planned(report_world, copy, kept):
    table = read_table(copy / 'manifest.parquet')
    keep = np.array([name == kept for name in table['decision'].to_pylist()])
    write_table(copy / 'manifest.parquet', table.filter(keep))
    text = text_of(report_again(report_world, copy))
    assert 'Nothing is selected.' in text
    assert ('No crop has an entropy.' in text) == (kept != 'unselected')
    assert ('No crop was scored' in text) == (kept != 'unselected')
    assert ('There is no crop to show.' in text) == (kept == 'none')
    numbers = json.loads((copy / 'report/report.json').read_text())
    assert numbers['overview']['planned'] == keep.sum()
    assert (copy / 'report/entropy.png').exists() == (kept == 'unselected')


def test_what_a_run_does_not_have_gets_a_sentence(run, numbers):
    """A strategy without quotas, no benchmark or no match, and many clusters."""
    figures = dict(images={'entropy': b'', 'entropy_by_cluster': b'', 'classes': b''})
    clusters = [{**row, 'wanted': None} for row in numbers['clusters']]
    given = {**numbers, 'has_quotas': False, 'clusters': clusters, 'leaks': []}
    text = text_of(build_page_of(run, numbers=given, **figures))
    assert 'The strategy of this run has no quotas.' in text
    assert 'No crop matches an evaluation image.' in text
    assert 'Table of' not in text.replace('Table of the classes', '')
    given['run'] = {'version': '1', 'commit': None, 'benchmarks': []}
    given['clusters'] = clusters * 6
    text = text_of(build_page_of(run, numbers=given, **figures))
    assert 'the crops were compared with none' in text
    assert 'no git checkout' in text
    assert 'Table of 18 clusters' in text


def replace(folder, name, values):
    table = read_table(folder / 'manifest.parquet')
    place = table.column_names.index(name)
    write_table(folder / 'manifest.parquet', table.set_column(place, name, [values]))


def test_manifests_that_cannot_be(report_world, copy):
    path = copy / 'manifest.parquet'
    table = read_table(path)

    def refused(message):
        with pytest.raises(ManifestError, match=message) as error:
            report_again(report_world, copy)
        assert str(path) in str(error.value)

    for name in ('class_areas', 'margin'):
        write_table(path, table.drop_columns([name]))
        refused(f"no column .'{name}'., it has")
    write_table(path, table)
    replace(copy, 'decision', pa.array(['maybe'] * len(table)))
    refused("decision 'maybe' found, allowed are")
    write_table(path, table)
    replace(copy, 'cluster', pa.array([-2] * len(table), pa.int16()))
    refused('cluster -2 found, below 0')
    replace(copy, 'cluster', pa.array([7] * len(table), pa.int16()))
    refused('cluster 7 found, .* are of 3 clusters')


def test_characters_that_do_not_print_are_shown():
    assert shown('a\nb\\ é \x00 \u2028 \ud800') == 'a\\nb\\ é \\x00 \\u2028 \\ud800'


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        *((None, '-'), (float('nan'), '-'), (1234567, '1,234,567')),
        *((0.123456, '0.1235'), (12.0, '12'), (-0.5, '-0.5')),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.1234, '0.123 s'), (119.9, '120 s'), (3725, '1:02:05 h'), (0, '0 s')],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
