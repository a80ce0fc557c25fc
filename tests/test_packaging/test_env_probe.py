"""Imports are tried in another process, one by one."""

import env_probe


def test_crash_of_one_import_leaves_the_others(tmp_path, monkeypatch):
    (tmp_path / 'crashes.py').write_text('import os; os.abort()')
    (tmp_path / 'prints.py').write_text('print("5")\nprint("{broken")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    found = env_probe.probe(['json', 'crashes', 'prints', 'nowhere'])
    assert found['json']['error'] is None
    assert 'the interpreter ended' in found['crashes']['error']
    assert found['prints']['error'] is None
    assert "No module named 'nowhere'" in found['nowhere']['error']


def test_checkout_in_the_working_folder_does_not_count(tmp_path, monkeypatch):
    (tmp_path / 'shadow_of_cwd.py').write_text('')
    monkeypatch.chdir(tmp_path)
    assert env_probe.probe(['shadow_of_cwd'])['shadow_of_cwd']['error']
