// What a person sees and does. Draws the model, and turns input into calls of it.

const byId = (id) => document.getElementById(id);
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const MARKS = { pending: "sending…", failed: "not sent", sent: "✓" };

/** Shows one of the two screens. */
export function show(screen) {
  byId("sign").hidden = screen !== "sign";
  byId("chat").hidden = screen !== "chat";
}

/** The form to sign in or up; `enter(how, username, password)` may refuse with an error. */
export function signForm(enter) {
  const form = byId("sign-form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const problem = form.querySelector(".problem");
    problem.textContent = "";
    const buttons = form.querySelectorAll("button");
    buttons.forEach((button) => { button.disabled = true; });
    try {
      await enter(event.submitter?.value ?? "login", form.elements.username.value, form.elements.password.value);
      form.reset();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  };
}

export class View {
  constructor(model, signOut) {
    this.model = model;
    byId("me").textContent = "";
    byId("sign-out").onclick = signOut;
    this.writeForm();
    this.openForm();
    const list = byId("messages");
    list.onscroll = () => { if (list.scrollTop < 80 && model.open) model.loadOlder(model.open).catch(() => {}); };
    document.addEventListener("visibilitychange", () => this.seen());
    this.choose(null);
  }

  state(text, live) {
    byId("status").textContent = text;
    byId("status").classList.toggle("away", !live);
  }

  /** Something changed; `channelId` says where, if it is about one channel. */
  draw(channelId, me) {
    if (me) byId("me").textContent = me;
    this.drawChannels();
    if (this.model.open && (!channelId || channelId === this.model.open)) this.drawMessages();
    this.seen();
  }

  seen() {
    if (this.model.open && !document.hidden && document.hasFocus()) this.model.markRead(this.model.open);
  }

  choose(id) {
    this.model.open = id;
    byId("channel").hidden = !id;
    byId("nothing-open").hidden = Boolean(id);
    if (!id) return;
    this.drawnMessages = null;
    byId("messages").replaceChildren();
    this.draw();
    if (this.model.connection?.live) this.model.loadNewest(id).catch(() => {});
    byId("write-form").elements.body.focus();
  }

  drawChannels() {
    const rows = this.model.list().map((channel) => {
      const row = byId("channel-template").content.firstElementChild.cloneNode(true);
      row.querySelector(".name").textContent = this.model.title(channel);
      row.querySelector(".last").textContent = channel.last_message?.body ?? "";
      const badge = row.querySelector(".badge");
      badge.textContent = channel.unread;
      badge.hidden = !channel.unread;
      if (channel.channel_id === this.model.open) row.setAttribute("aria-current", "true");
      row.onclick = (event) => { event.preventDefault(); this.choose(channel.channel_id); };
      return row;
    });
    byId("channels").replaceChildren(...rows);
  }

  drawMessages() {
    const { model } = this;
    const channel = model.channel(model.open);
    byId("title").textContent = model.title(channel);
    byId("subtitle").textContent = channel.kind === "group" ? `${channel.member_count ?? ""} members` : "";
    const list = byId("messages");
    const nearEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    const fromEnd = list.scrollHeight - list.scrollTop;
    list.replaceChildren(...model.messages(model.open).map((message) => this.row(message)));
    // At the end it follows what is new; elsewhere what is read stays where it is.
    list.scrollTop = nearEnd || !this.drawnMessages ? list.scrollHeight : list.scrollHeight - fromEnd;
    this.drawnMessages = true;
  }

  row(message) {
    const state = message.state ?? "sent";
    const mine = message.from === this.model.me();
    const row = byId("message-template").content.firstElementChild.cloneNode(true);
    row.classList.add(state);
    row.classList.toggle("mine", mine);
    row.querySelector(".who").textContent = mine ? "" : this.model.name(message.from);
    row.querySelector(".body").textContent = message.body;
    row.querySelector("time").textContent = `${time.format(message.sent_ms)} `;
    row.querySelector(".mark").textContent = mine ? MARKS[state] : "";
    if (message.problem) row.querySelector(".mark").title = message.problem;
    const retry = row.querySelector(".retry");
    retry.hidden = state !== "failed";
    retry.onclick = () => this.model.writeAgain(message.client_msg_id);
    return row;
  }

  writeForm() {
    const form = byId("write-form");
    form.onsubmit = (event) => {
      event.preventDefault();
      const body = form.elements.body.value.trim();
      if (!body || !this.model.open) return;
      this.model.write(this.model.open, body);
      form.elements.body.value = "";
      form.elements.body.focus();
      const list = byId("messages");
      list.scrollTop = list.scrollHeight;
    };
    form.elements.body.onkeydown = (event) => {
      // While an input method composes a syllable, Enter ends the syllable. 229 is what older browsers say of it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      form.requestSubmit();
    };
  }

  openForm() {
    const form = byId("open-form");
    const names = () => form.elements.names.value.split(",").map((name) => name.trim()).filter(Boolean);
    form.elements.names.oninput = () => { form.elements.title.hidden = names().length < 2; };
    form.onsubmit = async (event) => {
      event.preventDefault();
      const problem = form.querySelector(".problem");
      problem.textContent = "";
      try {
        const id = await this.model.openWith(names(), names().length > 1 ? form.elements.title.value.trim() : "");
        form.reset();
        form.elements.title.hidden = true;
        this.choose(id);
      } catch (error) {
        problem.textContent = error.message;
      }
    };
  }
}
