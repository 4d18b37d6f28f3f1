"""One self-contained HTML page for each pipeline run: samples, curves, metrics with their anchors, verdicts, times.

It has no script and no external resource: images are inlined as PNG, curves as SVG. All text from data, file names and
configuration is escaped.
"""

import base64
import html
import json
import math
import os
import pathlib
import platform
import shlex
import time

from tfgen import onednn
from tfgen.data.source import skipped_text

# {metric: (title, explanation)} of the metrics that are shown first.
METRICS = {
    "negative_log_likelihood": ("NLL", "nats per image (importance weighted bound), less is better"),
    "negative_elbo": ("&minus;ELBO", "nats per image, less is better"),
    "bits_per_dim": ("bits/dim", "NLL per pixel value in bits, less is better"),
    "frechet_classifier_distance": ("Fr&eacute;chet distance", "of classifier features, less is better"),
    "kernel_distance_mean": ("KID", "kernel distance of classifier features, less is better"),
    "classifier_score": ("Classifier score", "the inception score with this classifier, more is better"),
    "num_classes": ("Classes", "that the samples cover, more is better"),
    "precision": ("Precision", "share of samples near real images"),
    "recall": ("Recall", "share of real images near samples"),
    "density": ("Density", "precision that counts neighbours"),
    "coverage": ("Coverage", "share of real images with a sample near"),
    "accuracy": ("Accuracy", "share of images that are classified correctly, more is better"),
    "error_over_chance": ("Errors / chance", "share of errors over that of always saying the most frequent class"),
    "cross_entropy": ("Cross-entropy", "nats per image, less is better"),
    "target_l1": ("L1 to target", "mean absolute difference, less is better"),
    "temporal_l1": ("Temporal L1", "difference to the frame before, moved by the flow, less is better"),
    "bits_per_pixel": ("bits/pixel", "of the code, less is better"),
    "bits_over_raw": ("Bits / raw", "share of the bits of uncompressed images, less is better"),
    "psnr": ("PSNR", "dB of images after the code, more is better"),
    "net_psnr": ("Net PSNR", "less what as many bits give to pixels coded one by one, more is better"),
    "reconstruction_error": ("Reconstruction error", "squared, mean over pixels, less is better"),
    "k_means_accuracy": ("k-means", "accuracy of clusters of codes that are matched to classes, more is better"),
    "few_label_accuracy": ("Few labels", "accuracy of a linear classifier of codes, more is better"),
    "swd": ("Sliced Wasserstein", "distance of patches of pixels, less is better"),
    "birthday_duplicate_rate": ("Near-duplicates", "share of batches with a pair as near as the nearest of real images"),
    "path_length": ("Path length", "change of features over a small step in latent space, less is smoother"),
    "linear_separability": ("Separability", "of the classes in latent space, 1 is perfect"),
    "nn_pixel_ratio": ("Copying", "distance to the nearest training image over that of test images; "
                       "far below 1: copies"),
}  # fmt: skip

STYLE = """
:root{--ink:#1c2330;--soft:#5d6778;--line:#dde2ea;--back:#f6f7f9;--card:#fff;--good:#12704a;--goodback:#e2f4eb;
--bad:#a3262a;--badback:#fbe6e6;--open:#7a5a00;--openback:#fdf2d0;--accent:#2b5fb8}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa5b5;--line:#333b48;--back:#12161c;--card:#1a2029;
--good:#63d0a0;--goodback:#143526;--bad:#f08a8a;--badback:#44201f;--open:#e5c15c;--openback:#3d3214;--accent:#7fa8f0}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:0}h3{font-size:15px;margin:22px 0 8px}
p{margin:4px 0}.soft{color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px 22px;margin:18px 0}
.badge{display:inline-block;border-radius:20px;padding:2px 12px;font-weight:600;font-size:13px}
.good{color:var(--good);background:var(--goodback)}.bad{color:var(--bad);background:var(--badback)}
.open{color:var(--open);background:var(--openback)}
.warn{border-left:3px solid var(--open);padding-left:10px;margin:8px 0}
.head{display:flex;gap:12px;align-items:center;flex-wrap:wrap}
.figures{display:flex;gap:24px;flex-wrap:wrap;align-items:flex-start}figure{margin:8px 0;max-width:100%}
figcaption{color:var(--soft);font-size:13px;margin-bottom:4px}
figure img{max-width:100%;height:auto;image-rendering:pixelated;background:#fff;border:1px solid var(--line)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th{color:var(--soft);font-weight:600;font-size:13px}
details{margin:10px 0}summary{cursor:pointer;color:var(--accent)}
pre{background:var(--back);border:1px solid var(--line);border-radius:6px;padding:10px;overflow:auto;font-size:12.5px}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}.bar{fill:var(--accent)}.axis{stroke:var(--line)}
code{overflow-wrap:anywhere}
"""


def write(path, record, data):
    """Writes the page to `path`; `record` is from `tfgen_pipelines.runs.read`, `data` is a `tfgen_pipelines.data.Data`."""
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8") as f:
        f.write(render(record, data))
    os.replace(temporary, path)  # atomically: readers never see half a page


def render(record, data):
    """The page as a str."""
    models = "".join(_model(name, model, data.class_names) for name, model in record["models"].items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>tfgen: {_e(", ".join(record["models"]))} on {_e(data.spec)}</title><style>{STYLE}</style></head>
<body><main>
<h1>tfgen pipeline report</h1>
<p class="soft">Data <b>{_e(data.spec)}</b>, run {_e(record["run"])}, written {_e(time.strftime("%Y-%m-%d %H:%M:%S %Z"))}</p>
{_summary(record)}
{_comparison(record)}
{models}
{_data(record, data)}
{_times(record)}
{_how(record)}
</main></body></html>
"""


def _e(value):
    return html.escape(str(value), quote=True)


def _number(value):
    if value is None:
        return "&ndash;"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _e(value)
    if value == round(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.4g}"


def _badge(outcome):
    style = {"BLESSED": "good", "UNJUDGED": "open"}.get(outcome, "bad")
    return f'<span class="badge {style}">{_e(outcome)}</span>'


def _table(header, rows, numeric=()):
    """An HTML table; cells are HTML, and the columns with an index in `numeric` are right-aligned."""

    def cells(row, tag):
        return "".join(f"<{tag}{' class=n' if i in numeric else ''}>{c}</{tag}>" for i, c in enumerate(row)).replace(
            "class=n", 'class="n"'
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells(header, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def _summary(record):
    rows = []
    for name, model in record["models"].items():
        first = next((m for m in METRICS if m in model["content"]["metrics"]), None)
        value = f"{METRICS[first][0]} {_number(model['content']['metrics'][first]['value'])}" if first else "&ndash;"
        pushed = f"<code>{_e(model['pushed'])}</code>" if model["pushed"] else "not pushed"
        rows.append([f'<a href="#{_anchor(name)}">{_e(name)}</a>', _badge(model["outcome"]), value, pushed])
    return f"<section>{_table(['Model', 'Verdict', 'First metric', 'Pushed to'], rows)}</section>"


# Entries of a protocol that identify the evaluated model, not the method.
_WHO = ("generator_hash", "weights", "batch_norm")


def _comparison(record):
    """The metrics that at least two models share under one protocol; "" for one model."""
    models, names = record["models"], list(record["models"])
    if len(models) < 2:
        return ""

    def found(content):
        """{metric: (value, protocol)}; samples of all models are compared with the images as they are."""
        kinds = {name: metric for name, metric in content["metrics"].items() if metric["protocol"] != "samples"}
        values = {name: (m["value"], content["protocols"].get(m["protocol"]) or {}) for name, m in kinds.items()}
        common = content["common"] or {"values": {}, "protocol": {}}
        return values | {name: (value, common["protocol"]) for name, value in common["values"].items()}

    found, rows, alone = {name: found(models[name]["content"]) for name in names}, [], set()
    for metric in METRICS:
        groups = {}
        for name in (name for name in names if metric in found[name]):
            protocol = {key: value for key, value in found[name][metric][1].items() if key not in _WHO}
            groups.setdefault(json.dumps(protocol, sort_keys=True), []).append(name)
        for group in groups.values():
            if len(group) < 2:
                alone.add(METRICS[metric][0])
                continue
            values = [found[name][metric][0] if name in group else None for name in names]
            title, text = METRICS[metric]
            rows.append([f'{title}<br><span class="soft">{text}</span>', *map(_number, values)])
    table = _table(["Metric", *map(_e, names)], rows, numeric=range(1, len(names) + 1)) if rows else ""
    text = (
        "Only numbers of one protocol are compared. Those of samples are taken here against the images as they are, also of "
        "models that were trained on binarised ones. "
    )
    if alone:
        text += f"Of one model alone, or of different protocols: {', '.join(sorted(alone))}."
    return f'<section><h2>Comparison of the models</h2>{table}<p class="soft">{text}</p></section>'


def _anchor(name):
    return "model-" + "".join(c if c.isalnum() else "-" for c in name)


def _image(folder, name, caption):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return ""
    with open(path, "rb") as f:
        encoded = base64.b64encode(f.read()).decode("ascii")
    return (
        f"<figure><figcaption>{_e(caption)}</figcaption>"
        f'<img alt="{_e(caption)}" src="data:image/png;base64,{encoded}"></figure>'
    )


def _spread(items, count):
    """At most `count` of the items, evenly spread, the last one among them."""
    return items if len(items) <= count else [items[round((i + 1) * len(items) / count) - 1] for i in range(count)]


def serve_command(pushed, tfgen="tfgen"):
    """The command that serves the model folder of a pushed version; `tfgen`: how the command is called."""
    folder = pathlib.Path(pushed).parent
    base = shlex.quote(str(folder))
    return f"{tfgen} serve --model_name={folder.name} --model_base_path={base} --port=8500 --rest_api_port=8501"


def studio_command(pushed, tfgen="tfgen"):
    """The command that opens a pushed version in the browser."""
    return f"{tfgen} studio {shlex.quote(str(pathlib.Path(pushed).parent))}"


def ask_command(pushed, meta):
    """The command that asks a served model for images of seeds, or of a model without them what it can be asked.

    Args:
        pushed: the folder of the version.
        meta: the model's `tfgen.json`.
    """
    url = f"localhost:8501/v1/models/{pathlib.Path(pushed).parent.name}"
    conditions = [field["argument"] for field in meta.get("conditions") or ()]
    if (meta.get("capabilities") or [""])[0] != "sampler" or set(conditions) - {"labels"}:
        return f"curl {url}/metadata"
    rows = [{"seeds": seed, "labels": 0} if conditions else seed for seed in (1, 2, 3)]
    return f"curl -d {shlex.quote(json.dumps({'instances': rows}))} {url}:predict"


def _pushed(model, meta):
    """Where the model was pushed to, and how to serve and open it."""
    if not model["pushed"]:
        return "<p>Not pushed.</p>"
    path = pathlib.Path(model["pushed"])
    name, folder = path.parent.name, path.parent
    call, answer = {
        "sampler": ("seeds=tf.constant([1, 2, 3], tf.int64)", "sample"),
        "classifier": ("image=images", "classify"),
        "encoder": ("image=images", "reconstruct"),
    }.get((meta.get("capabilities") or ["encoder"])[0], ("image=images", "serving_default"))
    extra = "".join(f", {field['argument']}={field['argument']}" for field in meta.get("conditions") or ())
    text = f"""# over the protocols of TensorFlow Serving
{serve_command(path)}
docker run -p 8500:8500 -p 8501:8501 -v {folder}:/models/{name} -e MODEL_NAME={name} tensorflow/serving:2.16.1
curl localhost:8501/v1/models/{name}/metadata
{ask_command(path, meta)}

# in the browser
{studio_command(path)}

# in Python, without tfgen
model = tf.saved_model.load("{path}")
outputs = model.signatures["{answer}"]({call}{extra})"""
    earlier = "" if model["pushed_now"] else " by an earlier run"
    return (
        f"<p>Pushed to <code>{_e(path)}</code>{earlier}</p>"
        f"<details><summary>How to serve and open it</summary><pre>{_e(text)}</pre></details>"
    )


def _model(name, model, class_names=None):
    content = model["content"]
    meta = content["model"]
    figures = (
        _image(model["evaluation"], "samples.png", "Samples")
        + _image(model["evaluation"], "real.png", "Real images of the evaluation split, as the model was trained on them")
        + _image(model["evaluation"], "reconstructions.png", "Reconstructions: image above, reconstruction below")
        + _image(model["evaluation"], "translations.png", "Translations: the inputs, below them the result, and the target")
        + _image(
            model["evaluation"],
            "neighbours.png",
            "Nearest training images: sample, then its five nearest (L2)",
        )
    )
    pictures = "".join(_image("", path, f"step {step}") for step, path in _spread(model["pictures"], 4))
    history = f'<details><summary>Samples during training</summary><div class="figures">{pictures}</div></details>'
    warnings = "".join(f'<p class="warn">{_e(text)}</p>' for text in dict.fromkeys((*model["reasons"], *model["warnings"])))
    parameters = "" if model["parameters"] is None else f", {model['parameters']:,} parameters"
    facts = ", ".join(
        f"{label} {_e(meta[key])}"
        for key, label in (
            ("step", "step"),
            ("weights", "weights"),
            ("seed", "seed"),
            ("binarization", "binarization"),
        )
        if meta.get(key) is not None
    )
    return f"""<section id="{_anchor(name)}"><div class="head"><h2>{_e(name)}</h2>{_badge(model["outcome"])}</div>
<p class="soft">{_e(meta.get("model", ""))}: {facts}{parameters}</p>{warnings}{_pushed(model, meta)}
<div class="figures">{figures}</div>{history if pictures else ""}
<h3>Losses and other quantities during training</h3>{curves(model["history"])}
<h3>Metrics</h3>{_metrics(content)}{_class_shares(content, class_names)}
<h3>Verdict</h3>{_verdict(content)}
<details><summary>Configuration</summary><pre>{_json(meta)}</pre></details>
</section>"""


def _json(value):
    return _e(json.dumps(value, indent=2, sort_keys=True, default=str))


def _metrics(content):
    baseline = any(m.get("baseline") is not None for m in content["metrics"].values())
    header = [
        "Metric",
        "This model",
        "Real images",
        "Untrained",
        "Without a model",
        *(["Last blessed"] if baseline else []),
        "Protocol",
    ]
    first = [n for n in METRICS if n in content["metrics"]]
    more = sorted(n for n in content["metrics"] if n not in METRICS)

    def row(name):
        metric = content["metrics"][name]
        title, text = METRICS.get(name, (_e(name), ""))
        value = "not finite" if metric["value"] is None else _number(metric["value"])
        cells = [f'{title}<br><span class="soft">{text}</span>' if text else title, f"<b>{value}</b>"]
        cells += [_number(metric["real"]), _number(metric["untrained"]), _number(metric.get("trivial"))]
        cells += [_number(metric.get("baseline"))] if baseline else []
        return [*cells, _e(metric["protocol"])]

    def table(names):
        return _table(header, [row(name) for name in names], numeric=range(1, len(header) - 1))

    classifier = content["classifier"]
    text = ""
    if classifier:
        text = (
            f'<p class="soft">Features: {_e(classifier["description"])}, accuracy on the eval split '
            f"{classifier['accuracy']:.2%}. Real images: the eval split measured as if it were generated, the best that "
            "can be reached.</p>"
        )
    text += (
        '<p class="soft">Untrained: the same network before its first step. Without a model: what independent pixels, the '
        "mean image, or a copy of the image would get.</p>"
    )
    protocols = "".join(
        f"<details><summary>Protocol of the {_e(name)} numbers</summary><pre>{_json(value)}</pre></details>"
        for name, value in content["protocols"].items()
        if value
    )
    rest = f"<details><summary>More numbers</summary>{table(more)}</details>" if more else ""
    return table(first) + text + rest + protocols


def _class_shares(content, class_names):
    shares = content.get("class_shares")
    if not shares:
        return ""
    names = class_names if class_names and len(class_names) == len(shares) else range(len(shares))
    chart = bars(names, shares, percent=True, x="class", y="share of the samples")
    return f"<h3>Classes of the samples, as the classifier sees them</h3>{chart}"


def _verdict(content):
    checks = content["verdict"]["checks"]
    styles = {True: ("good", "passed"), False: ("bad", "failed"), None: ("open", "undecided")}
    rows = [
        [_e(c["metric"]), _e(c["rule"].replace("_", " ")), _number(c["bound"]),
         '<span class="badge {}">{}</span>'.format(*styles[c["passed"]]),
         _e(c["reason"])]
        for c in checks
    ]  # fmt: skip
    defaults = content["verdict"]["by_default"]
    text = "The default thresholds of the model's capabilities." if defaults else "Thresholds of the run."
    return f'<p class="soft">{text}</p>' + _table(["Metric", "Rule", "Bound", "", "Because"], rows, numeric=(2,))


def curves(history, width=310, height=150):
    """SVG line charts of a history [{"step": .., name: value, ..}]: one for each quantity; gaps where a value is not
    finite.
    """
    names = []
    for line in history:
        names += [k for k in line if k != "step" and k not in names]
    charts = [_curve(name, [(h["step"], h.get(name)) for h in history], width, height) for name in names]
    charts = [chart for chart in charts if chart]
    return f'<div class="figures">{"".join(charts)}</div>' if charts else '<p class="soft">No history was recorded.</p>'


def _finite(value):
    return isinstance(value, int | float) and math.isfinite(value)


def _curve(name, points, width, height, left=66, bottom=22, top=10):
    good = [(x, y) for x, y in points if _finite(y)]
    if not good:
        return ""
    xs, ys = [x for x, _ in good], [y for _, y in good]
    low, high = min(ys), max(ys)
    tail = ys[len(ys) // 10 :]
    if high - low > 4.0 * (max(tail) - min(tail)):  # high values at the start are cut, to keep the rest readable
        low, high = min(tail), max(tail)
    if low == high:
        low, high = low - 0.05 * abs(low) - 1e-6, high + 0.05 * abs(high) + 1e-6
    first, last = min(xs), max(xs)

    def place(x, y):
        px = left + (x - first) / max(last - first, 1) * (width - left - 8)
        py = top + (high - min(max(y, low), high)) / (high - low) * (height - top - bottom)
        return f"{px:.1f},{py:.1f}"

    path, pen = [], "M"
    for x, y in points:
        if _finite(y):
            path.append(f"{pen}{place(x, y)}")
            pen = "L"
        else:
            pen = "M"
    floor = height - bottom
    return (
        f"<figure><figcaption>{_e(name)} (last {_number(ys[-1])})</figcaption>"
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{_e(name)}">'
        f'<path class="axis" fill="none" d="M{left},{top}V{floor}H{width - 8}"/>'
        f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">{_number(high)}</text>'
        f'<text x="{left - 6}" y="{floor}" text-anchor="end">{_number(low)}</text>'
        f'<text x="{left}" y="{height - 6}">{_number(first)}</text>'
        f'<text x="{(left + width - 8) / 2}" y="{height - 6}" text-anchor="middle">step</text>'
        f'<text transform="translate(10,{(top + floor) / 2}) rotate(-90)" text-anchor="middle">{_e(name)}</text>'
        f'<text x="{width - 8}" y="{height - 6}" text-anchor="end">{_number(last)}</text>'
        f'<path fill="none" stroke="var(--accent)" stroke-width="1.6" d="{"".join(path)}"/></svg></figure>'
    )


def bars(labels, values, *, percent=False, width=420, height=140, x="", y=""):
    """SVG bar chart; `x` and `y` are the names of the axes."""
    x_name, y_name = x, y
    labels, values = list(labels), list(values)
    top = max(max(values), 1e-12)
    slot, height = (width - 10) / len(values), height - 16  # the last line is the name of the axis
    parts = [
        f'<text x="{width / 2}" y="{height + 10}" text-anchor="middle">{_e(x_name)}</text>',
        f'<text x="2" y="10">{_e(y_name)}</text>',
    ]
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        size = value / top * (height - 54)
        x = 5 + i * slot
        said = f"{value:.1%}" if percent else _number(value)
        parts.append(
            f'<rect class="bar" x="{x + slot * 0.1:.1f}" y="{height - 20 - size:.1f}" width="{slot * 0.8:.1f}" '
            f'height="{size:.1f}"><title>{_e(label)}: {said}</title></rect>'
        )
        if len(values) <= 30:
            parts.append(f'<text x="{x + slot / 2:.1f}" y="{height - 6}" text-anchor="middle">{_e(label)}</text>')
        if len(values) <= 12:
            parts.append(f'<text x="{x + slot / 2:.1f}" y="{height - 24 - size:.1f}" text-anchor="middle">{said}</text>')
    height += 16
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def _data(record, data):
    statistics = data.statistics
    counts, histogram = statistics["class_counts"], statistics["pixel_histogram"]
    splits = [[_e(name), f"{n}"] for name, n in zip(("train", "eval"), data.num_examples, strict=True)]
    shape = "&times;".join(map(str, data.image_shape))
    text = (
        f"<p>Images {shape} (height, width, channels), {data.levels} levels, "
        f"{data.num_classes or 'no'} classes. Fingerprint <code>{_e(data.fingerprint)}</code></p>"
        f"<p>Training pixels in [0, 1]: mean {statistics['pixel_mean']:.4f}, "
        f"standard deviation {statistics['pixel_std']:.4f}.</p>"
    )
    charts = ""
    if counts:
        names = data.class_names or range(len(counts[0]))
        charts += "<figure><figcaption>Training images per class</figcaption>"
        charts += f"{bars(names, counts[0], x='class', y='images')}</figure>"
    edges = [f"{i / len(histogram):.2g}" for i in range(len(histogram))]
    charts += (
        "<figure><figcaption>Training pixels by value</figcaption>"
        f"{bars(edges, histogram, percent=True, width=520, x='value of the pixel, from', y='share of the pixels')}</figure>"
    )
    skipped = "".join(f"<li>{_e(file)}: {_e(reason)}</li>" for file, reason in statistics["skipped"][:100])
    if skipped:
        text += f'<p class="warn">{_e(skipped_text(statistics["skipped"], data.num_examples))}:</p><ul>{skipped}</ul>'
    return (
        f"<section><h2>Data: {_e(data.spec)}</h2>{text}{_table(['Split', 'Images'], splits, numeric=(1,))}"
        f'<div class="figures">{charts}</div>{_anomalies(record)}</section>'
    )


def _anomalies(record):
    found = record.get("anomalies")
    if found is None:
        return ""
    if not found:
        return '<p class="soft">ExampleValidator found no anomalies.</p>'
    return "<p>ExampleValidator found:</p>" + _table(["Split", "Feature", "Anomaly"], [list(map(_e, a)) for a in found])


def _times(record):
    shown = {n: c for n, c in record["components"].items() if not n.startswith("LastBlessed.")}
    total = sum(c["seconds"] for c in shown.values())
    made = sum(c["made_in"] for c in shown.values())
    rows = [[_e(n), _e(c["state"]), f"{c['seconds']:.1f}", f"{c['made_in']:.1f}"] for n, c in shown.items()]
    rows.append(["<b>Total</b>", "", f"<b>{total:.1f}</b>", f"<b>{made:.1f}</b>"])
    table = _table(["Component", "State", "Seconds in this run", "Seconds when it last ran"], rows, numeric=(2, 3))
    note = "<p class='soft'>From ML Metadata; a cached component did not run, its outputs are of an earlier run.</p>"
    return f"<section><h2>Wall time</h2>{table}{note}</section>"


def _how(record):
    """Command line, settings, machine and versions."""
    versions = {"python": platform.python_version(), **record.get("versions", {})}
    rows = [[_e(k), _e(v)] for k, v in versions.items()]
    machine = [[_e(k), _e(v)] for k, v in hardware().items()]
    command = f"<pre>{_e(record['command'])}</pre>" if record.get("command") else ""
    settings = record.get("settings")
    settings = f"<details><summary>All settings</summary><pre>{_json(settings)}</pre></details>" if settings else ""
    return (
        f"<section><h2>How this was made</h2><h3>Command line</h3>{command}{settings}"
        f"<h3>Machine</h3>{_table(['', ''], machine)}<h3>Versions</h3>{_table(['Package', 'Version'], rows)}</section>"
    )


def hardware():
    """{name: value} of this machine, as far as known."""
    import tensorflow as tf

    found = {"platform": platform.platform(), "CPUs": os.cpu_count(), "CPU": onednn.processor()}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    found["GPUs"] = ", ".join(names) or "none"
    return found
