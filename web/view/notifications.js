// What the user is told while away: in this browser, by category and way, when not, and at which addresses.

import { MESSAGES, choose, isTold } from "../client/settings.js";
import { carryOut, confirmed, el } from "./dom.js";
import { t } from "./language.js";
import { toldRow } from "./told.js";

const WAYS = { device: "Devices", mail: "Mail", sms: "Text" };
const ADDRESSES = {
  mail: { name: "Mail", type: "email", place: "you@example.org" },
  sms: { name: "Text messages", type: "tel", place: "+491511234567" },
};

/** Those that the server makes by itself; an application's have titles of their own. */
const CATEGORIES = { [MESSAGES]: "Messages", like: "Likes", reply: "Replies", mention: "Mentions", post: "Posts" };

export class NotificationsPanel {
  /** `push` as of `client/push.js`, `client` as of `client/settings.js`. */
  constructor(push, client) {
    Object.assign(this, { push, client, stored: Promise.resolve() });
  }

  build(body) {
    this.problem = el("p", { class: "problem", role: "alert" });
    this.rest = el("div", { class: "stack" });
    body.append(toldRow(this.push, this.problem), this.problem, this.rest);
    this.load();
  }

  load() {
    return carryOut(this.problem, [], async () => {
      Object.assign(this, await this.client.read());
      const addresses = Object.keys(ADDRESSES).filter((medium) => this.ways.includes(medium));
      this.rest.replaceChildren(this.choices(), this.quiet(), ...addresses.map((medium) => this.address(medium)));
    });
  }

  /** Stores what is changed, one change after the other, since each replaces all. Whether it was stored. */
  store(change, controls) {
    const store = async () => {
      // By what there is now: a mail's link may have changed it meanwhile.
      const act = async () => {
        const settings = change((await this.client.read()).settings);
        await this.client.write(settings);
        this.settings = settings;
      };
      return carryOut(this.problem, controls, act);
    };
    this.stored = this.stored.then(store);
    return this.stored;
  }

  choices() {
    const head = el("tr", {}, el("th", { scope: "col" }, t("What")), this.ways.map((way) => el("th", { scope: "col" }, t(WAYS[way]))));
    return el("table", { class: "choices" }, el("caption", {}, t("What I am told")), el("thead", {}, head),
      el("tbody", {}, this.known.map((category) => this.category(category))));
  }

  category(category) {
    const { name, title, critical } = category;
    const shown = CATEGORIES[name] ? t(CATEGORIES[name]) : title || name;
    const cell = (way) => {
      const box = el("input", {
        type: "checkbox", "aria-label": `${shown}: ${t(WAYS[way])}`, disabled: critical,
        checked: isTold(this.settings, category, way),
        onchange: async () => {
          const on = box.checked;
          if (!(await this.store((settings) => choose(settings, name, way, on), [box]))) box.checked = !on;
        },
      });
      return el("td", {}, box);
    };
    return el("tr", {}, el("th", { scope: "row" }, shown, critical && el("small", {}, ` ${t("always")}`)), this.ways.map(cell));
  }

  quiet() {
    const { from, to } = this.settings.quiet_hours ?? {};
    const zone = this.settings.quiet_hours?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
    const time = (label, value) => el("input", { type: "time", "aria-label": label, value, required: true });
    const [begin, end] = [time(t("Quiet from"), from ?? "22:00"), time(t("Quiet until"), to ?? "07:00")];
    const box = el("input", { type: "checkbox", checked: Boolean(from) });
    const controls = [box, begin, end];
    const store = async () => {
      const hours = box.checked ? { from: begin.value, to: end.value, zone } : undefined;
      const done = await this.store((settings) => ({ ...settings, quiet_hours: hours }), controls);
      if (!done) box.checked = Boolean(this.settings.quiet_hours);
    };
    controls.forEach((control) => { control.onchange = () => (box.checked || control === box) && store(); });
    return el("fieldset", {}, el("legend", {}, t("Quiet hours")),
      el("label", { class: "check" }, box, t("Tell me nothing that can wait")),
      el("div", { class: "line" }, begin, end), el("small", {}, zone));
  }

  address(medium) {
    const { name, type, place } = ADDRESSES[medium];
    const { proved, pending } = this.addresses[medium] ?? {};
    const act = (controls, what) => carryOut(this.problem, controls, what).then((done) => done && this.load());
    const form = (field, label, what) => {
      const button = el("button", { type: "submit", class: "quiet" }, label);
      const onsubmit = (event) => {
        event.preventDefault();
        act([button], () => what(field.value.trim()));
      };
      return el("form", { class: "line", onsubmit }, field, button);
    };
    const remove = el("button", { type: "button", class: "quiet", onclick: async () => {
      if (await confirmed(t("Tell me nothing at {where} any more?", { where: proved ?? pending }), t("Remove"))) act([remove], () => this.client.remove(medium));
    } }, t("Remove"));
    const where = el("input", { type, placeholder: place, "aria-label": t(name), required: true });
    const code = el("input", { inputmode: "numeric", autocomplete: "one-time-code", placeholder: "123456", "aria-label": t("Code"), required: true });
    return el("fieldset", {}, el("legend", {}, t(name)),
      (proved || pending) && el("div", { class: "person" }, el("span", { class: "grow" }, el("b", {}, proved ?? pending),
        el("small", {}, proved ? t("Confirmed") : t("Waits for its code"))), remove),
      pending && el("p", { class: "none" }, t("A code was sent to {where}.", { where: pending })),
      pending && form(code, t("Confirm"), (given) => this.client.prove(medium, given)),
      form(where, proved || pending ? t("Change") : t("Send a code"), (given) => this.client.ask(medium, given)));
  }
}
