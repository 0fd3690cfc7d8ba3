"""report.html in a real browser: nothing is fetched, nothing is refused, everything is there to be seen, on a screen of
any width, in the dark and on paper."""

from __future__ import annotations

import base64
import json
import math
import shutil
from pathlib import Path

import pytest

from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault, Series
from auto_experiment.records.run import RunState
from auto_experiment.report.html import write_html
from campaign import Campaign

webdriver = pytest.importorskip("selenium.webdriver")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed")

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
EVIL = "<script>alert(1)</script>]]><img src=http://example.org/x.png onerror=alert(2)>"


def fill(campaign):
    campaign.goal = f"Reach 90% accuracy. {EVIL}"
    campaign.stands(bar=0.55)
    names = ("acc", "val_loss", "train_loss")
    series = tuple(Series(name, 20, 0.5, 20.0, 0.6, 20.0, 0.1, 1.0) for name in names)
    for n in range(24):
        lr, width = 10 ** (-1 - (n * 7 % 24) / 8), 16 << (n % 4)
        value = 0.88 - 0.1 * abs(math.log10(lr) + 2.3) ** 2
        points = [
            (name, step, value * (1 - 0.8**step) + place) for step in range(1, 21) for place, name in enumerate(names)
        ]
        params = {"--lr": lr, "--width": width, "--optimizer": ("sgd", "adam")[n % 2]}
        title = f"learning rate {lr:.4g}, width {width}" if n else EVIL
        campaign.experiment(
            value, title=title, command=f"t {n}", params=params, points=points, series=series, words=EVIL
        )
    campaign.experiment(None, title="a_very_long_title_without_a_space_" * 8, state=RunState.FAILED, exit_code=1,
                        fault=Fault.EXCEPTION, exception="ValueError", reason="exit status 1: ValueError: " + "shape" * 40,
                        result=Result.FAILED, tail=("Traceback " + "x" * 280,))  # fmt: skip


class Browser:
    def __init__(self, driver, page):
        self.driver, self.page = driver, Path(page).as_uri()

    def open(self, width=1280, *, scheme="light", media="", at=""):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        self.driver.get(self.page + at)

    def ask(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def requests(self):
        """Every address that the page asked for since the last time; the browser's own first page asks for some too."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return {s["request"]["url"] for s in sent if not s["documentURL"].startswith("chrome")}

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    campaign = Campaign(folder / "project")
    fill(campaign)
    path, failed = write_html(campaign.project, campaign.ledger)
    campaign.close()
    assert failed == ""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield Browser(driver, path)
    finally:
        driver.quit()


def test_nothing_is_fetched_and_nothing_is_refused(browser):
    browser.open()
    assert browser.ask("return document.readyState") == "complete"
    asked = browser.requests()
    assert browser.page in asked
    assert {url for url in asked if not url.startswith(("file:", "data:", "about:"))} == set()
    assert browser.complaints() == []
    assert browser.ask("return document.querySelectorAll('img, iframe, object, embed, link').length") == 0
    assert EVIL in browser.ask("return document.body.innerText")


def test_its_policy_forbids_what_it_does_not_hold(browser):
    browser.open()
    browser.ask(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
        "const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i);"
        "document.body.style.cssText; document.body.setAttribute('style', 'color: red');"
    )
    assert browser.ask("return window.ran === undefined")
    assert len([line for line in browser.complaints() if "Content Security Policy" in line]) >= 2
    browser.requests()


BOXES = """
return [...document.querySelectorAll('svg.chart')].map(svg => {
  const box = svg.getBoundingClientRect();
  return [svg.querySelector('title').textContent, box.width, box.height, getComputedStyle(svg.parentElement).display !== 'none'];
});
"""
# pairs of texts of one figure whose boxes lie upon each other by more than a fifth of the smaller one
COLLISIONS = """
const found = [];
for (const svg of document.querySelectorAll('svg.chart')) {
  const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent.trim(), t.getBoundingClientRect()]).filter(([t, b]) => t && b.width);
  const whole = svg.getBoundingClientRect();
  texts.forEach(([one, a], i) => {
    if (a.left < whole.left - 2 || a.right > whole.right + 2 || a.top < whole.top - 2 || a.bottom > whole.bottom + 2) found.push([one, 'outside']);
    for (const [other, b] of texts.slice(i + 1)) {
      const width = Math.min(a.right, b.right) - Math.max(a.left, b.left), height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      const area = Math.min(a.width * a.height, b.width * b.height);
      if (width > 0 && height > 0 && width * height > area / 5) found.push([one, other]);
    }
  });
}
return found;
"""


@pytest.mark.parametrize("width", [400, 1400])
def test_everything_is_there_to_be_seen(browser, width):
    browser.open(width)
    boxes = [(title, w, h) for title, w, h, _ in browser.ask(BOXES) if w]
    assert len(boxes) == 7, "one of the two pictures of all experiments, and the six others"
    assert all(w > 200 and h > 100 for _, w, h in boxes), boxes
    assert browser.ask(COLLISIONS) == []
    assert browser.ask("return document.documentElement.scrollWidth") <= width
    assert browser.ask("return [...document.querySelectorAll('details')].every(d => !d.open)")
    browser.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.ask("return document.documentElement.scrollWidth") <= width, "with everything unfolded"


CONTRAST = """
const light = c => { const v = c.map(x => (x /= 255) <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
  return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
const read = text => text.match(/[\\d.]+/g).slice(0, 4).map(Number);
const below = e => { for (; e; e = e.parentElement) { const c = read(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
  return [255, 255, 255]; };
const found = [];
for (const e of document.querySelectorAll('main *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getBoundingClientRect().width || e.closest('defs, title, desc')) continue;
  const style = getComputedStyle(e), front = light(read(e.closest('svg') ? style.fill : style.color)), back = light(below(e.closest('svg') ? e.closest('svg').parentElement : e));
  const ratio = (Math.max(front, back) + .05) / (Math.min(front, back) + .05);
  if (ratio < 4.5) found.push([e.tagName, e.textContent.slice(0, 40), ratio.toFixed(2)]);
}
return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colour_scheme_and_can_be_read(browser, scheme):
    browser.open(scheme=scheme)
    back = browser.ask("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(back) < 50) if scheme == "dark" else (min(back) > 240)
    assert browser.ask(CONTRAST) == []
    lines = browser.ask("return [...document.querySelectorAll('svg.chart path')].map(p => getComputedStyle(p).stroke)")
    assert len({line for line in lines if line != "none"}) >= 3
    assert "rgb(1, 1, 4)" not in lines


def test_a_link_opens_the_details_that_it_leads_to(browser):
    browser.open(at="#exp003")
    assert browser.ask("return document.getElementById('exp003').closest('details').open")
    browser.ask("document.querySelector('th a[href=\"#exp005\"]').click()")
    assert browser.ask("return document.getElementById('exp005').closest('details').open")
    point = browser.ask("return document.querySelector('svg.chart a[href=\"#exp007\"] title').textContent")
    assert point.startswith("exp007: ")


def test_the_table_can_be_sorted(browser):
    browser.open()
    script = "return [...document.querySelectorAll('table.sortable tbody tr')].map(r => r.cells[3].textContent)"
    click = "document.querySelectorAll('table.sortable thead th button')[3].click()"
    before = browser.ask(script)
    browser.ask(click)
    up = browser.ask(script)
    browser.ask(click)
    down = browser.ask(script)
    numbers = sorted(float(value) for value in before if value)
    assert [float(value) for value in up if value] == numbers
    assert [float(value) for value in down if value] == numbers[::-1]
    assert up[-1] == down[-1] == "", "what has no value stays last"


def test_it_prints(browser):
    browser.open(700, scheme="dark", media="print")
    assert browser.ask("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask("return document.documentElement.scrollWidth") <= 700
    assert browser.ask("return document.getElementById('exp001').getBoundingClientRect().height") > 50, (
        "details are open"
    )
    browser.open()
    made = browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    pdf = base64.b64decode(made["data"])
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") >= 4 or pdf.count(b"/Page") >= 5
    assert browser.ask("return [...document.querySelectorAll('details')].every(d => !d.open)"), (
        "closed again afterwards"
    )
