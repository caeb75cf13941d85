// What a reader would find out with the page open; the answer goes to the test's server.
window.addEventListener("load", async function () {
  "use strict";
  const all = (selector, inside) => [...(inside || document).querySelectorAll(selector)];
  const found = { errors: window.pageErrors, loaded: performance.now() };
  const finish = () => {
    fetch("/found", { method: "POST", body: JSON.stringify(found) });
  };
  try {
    found.dark = matchMedia("(prefers-color-scheme: dark)").matches;
    found.width = [document.documentElement.scrollWidth, document.documentElement.clientWidth];
    found.boxes = all("svg rect.box").filter((box) => box.getBoundingClientRect().width > 20).length;
    found.arrows = all("svg path.forward").filter((arrow) => arrow.getTotalLength() > 5).length;
    found.formulas = all("math").filter((one) => one.getBoundingClientRect().height > 5).length;
    found.deadLinks = all("a").filter((a) => !document.getElementById(a.getAttribute("href").slice(1))).length;
    const box = document.querySelector("svg a");
    box.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, view: window }));
    // Firefox follows a link when the event is done with.
    for (let waits = 0; waits < 50 && location.hash !== box.getAttribute("href"); waits += 1) {
      await new Promise((done) => setTimeout(done, 100));
    }
    found.followed = location.hash === box.getAttribute("href");

    const play = document.querySelector(".play");
    const title = () => play.querySelector(".stage.now").dataset.title;
    const button = (text) => all(".controls button", play).find((one) => one.textContent === text);
    found.visible = all(".stage", play).filter((one) => one.getBoundingClientRect().height > 0).length;
    found.titles = [title()];
    button("Next").click();
    found.titles.push(title());
    button("Last").click();
    found.titles.push(title());
    button("First").click();
    const range = play.querySelector("input");
    range.value = "3";
    range.dispatchEvent(new Event("input"));
    found.titles.push(title());
    found.status = play.querySelector("output").textContent;
    found.kept = all(".track .kept", play).length;
    button("Play").click();
    await new Promise((done) => setTimeout(done, 1700));
    found.titles.push(title());
    button("Pause").click();
    found.pictures = all(".stage img", play).every((one) => one.complete && one.naturalWidth > 0);

    const kernel = document.querySelector(".kernel");
    const every = document.querySelector("button.every");
    found.every = [every.textContent];
    every.click();
    found.every.push(all('[id$=".long"] + details').every((one) => one.open) && every.textContent);
    all("details").forEach((one) => { one.open = true; });
    const key = kernel.querySelector(".keys button");
    key.focus();
    found.marked = all(".marked", kernel).map((one) => one.localName);
    found.focusable = all("a, button, input, select, summary, .wide").every((one) => one.tabIndex >= 0);
    const select = document.querySelector(".chosen select");
    found.charts = all(".chosen [data-choice]").filter((one) => !one.hidden).length;
    select.value = "3";
    select.dispatchEvent(new Event("change"));
    found.chosen = document.querySelector('.chosen [data-choice="3"]').hidden === false;

    const narrow = document.createElement("iframe");
    narrow.style.width = "400px";
    narrow.title = "narrow";
    narrow.srcdoc = window.pageSource;
    document.body.append(narrow);
    await new Promise((done) => { narrow.onload = done; });
    const inside = narrow.contentDocument;
    found.narrow = [inside.documentElement.scrollWidth, narrow.clientWidth];
    found.smallest = Math.min(...all("p, li, td, figcaption, summary", inside).map(
      (one) => parseFloat(inside.defaultView.getComputedStyle(one).fontSize)));
    narrow.remove();

    if (window.axe) {
      // One of each kind is looked at: a checker takes minutes for thousands of the same.
      all("details").slice(2).forEach((one) => one.remove());
      all(".kernel pre").forEach((one) => { one.innerHTML = one.innerHTML.split("\n").slice(0, 30).join("\n"); });
      const report = await axe.run(
        { exclude: [["math"]] },
        { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"], resultTypes: ["violations"] });
      found.violations = report.violations.map(
        (one) => one.id + ": " + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | "));
      found.rules = report.passes.map((one) => one.id);
    }
  } catch (error) {
    found.errors.push(String(error.stack || error));
  }
  finish();
});
