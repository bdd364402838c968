// The account's devices, and the end of one's session.

import { carryOut, confirmed, el } from "./dom.js";
import { t } from "./language.js";
import { ago } from "./words.js";

export class DevicesPanel {
  constructor(account) {
    this.account = account;
  }

  build(body) {
    this.problem = el("p", { class: "problem", role: "alert" });
    this.rows = el("ul", { class: "rows" });
    const words = t("Every tab of a browser is a device. A revoked one has to sign in again.");
    body.append(el("p", { class: "none" }, words), this.problem, this.rows);
    this.ask();
  }

  ask() {
    return carryOut(this.problem, [], async () => {
      const devices = await this.account.devices();
      this.rows.replaceChildren(...devices.map((device) => this.row(device)));
    });
  }

  row({ device_id, client, connected_ms, last_active_ms }) {
    const isThis = device_id === this.account.current().device;
    const revoke = el("button", { type: "button", class: "quiet", onclick: () => this.revoke(device_id, revoke) }, t("Revoke"));
    const seen = Math.max(connected_ms, last_active_ms);
    return el("li", { class: "person" },
      el("span", { class: "grow" }, el("b", {}, isThis ? t("This tab") : client || t("device")),
        el("small", {}, `${device_id} · ${t("active {when}", { when: ago(seen) })}`)),
      !isThis && revoke);
  }

  async revoke(deviceId, button) {
    if (!(await confirmed(t("Sign this device out?"), t("Revoke")))) return;
    if (await carryOut(this.problem, [button], () => this.account.revoke(deviceId))) this.ask();
  }
}
