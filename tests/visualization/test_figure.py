import matplotlib

from mmosnet.visualization.figure import new_figure, plain_axes, save_figure


def test_figures_need_no_display_whatever_is_configured(monkeypatch, tmp_path):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.setitem(matplotlib.rcParams, 'backend', 'TkAgg')
    figure = new_figure(3, 2)
    plain_axes(figure.add_subplot(), 'title', 'x', 'y')
    assert save_figure(figure, tmp_path / 'new' / 'figure.png').read_bytes().startswith(b'\x89PNG')
    assert type(figure.canvas).__name__ == 'FigureCanvasAgg'
