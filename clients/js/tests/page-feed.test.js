// The page that a node serves, in Chromium: two users post, like, reply and follow, one of them in Korean on a small dark screen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { noBrowser, startBrowser } from "./chromium.js";
import { open } from "./page-user.js";
import { landscape } from "./png.js";
import { directory, noNode, startNode } from "./server.js";

test("two users post, like, reply and follow", { skip: noBrowser || noNode, timeout: 600_000 }, async (t) => {
  const node = await startNode(t);
  const browser = await startBrowser(t, directory());
  const exceptions = [];
  const ann = await open(browser, node, exceptions, "ann", { width: 1280, height: 860, scheme: "light", language: "en-GB" });
  const bob = await open(browser, node, exceptions, "bob", { width: 400, height: 800, scheme: "dark", language: "ko-KR" });
  assert.deepEqual([await ann.evaluate("document.documentElement.lang"), await bob.evaluate("document.documentElement.lang")], ["en", "ko"]);
  await ann.http("PUT", `/v1/me/friends/${bob.id}`);
  await bob.http("PUT", `/v1/me/friends/${ann.id}`);

  // Bob looks at a feed in which there is nothing; Ann posts, by keyboard, with what she pasted and dropped.
  await bob.focus("#feed-button");
  await bob.key("Enter");
  await bob.says("아직 글이 없습니다.");
  await bob.shot("01-empty-ko-dark-narrow");
  await ann.focus("#feed-button");
  await ann.key("Enter");
  await ann.says("Nothing here yet");
  await ann.bring("paste", "#post-place textarea", [["beach.png", "image/png", landscape(900, 600)], ["hills.png", "image/png", landscape(600, 800, 2)]]);
  await ann.bring("drop", "#feed-scroll", [["notes.txt", "text/plain", "the tide is at nine\n".repeat(700)]]);
  await ann.is(`document.querySelectorAll("#post-place .chip").length === 3`, "three files");
  await ann.type("#post-place textarea", "A day at the sea, see https://example.org/sea");
  await ann.is(`[...document.querySelectorAll("#post-place .chip progress")].every((bar) => bar.hidden)`, "all are uploaded");
  await ann.shot("02-composer-light-wide");
  await ann.focus("#post-place button[type=submit]");
  await ann.key("Enter");
  await ann.is(`document.querySelectorAll("#posts > article").length === 1`, "the post is there");
  await ann.pictures("#posts", 2);
  await ann.says("notes.txt");
  assert.equal(await ann.evaluate(`document.querySelector("#post-place textarea").value + document.querySelectorAll("#post-place .chip").length`), "0");
  await ann.shot("03-post-light-wide");

  // Bob is told, looks, likes and replies.
  await bob.is(`!document.querySelector("#feed-new").hidden`, "he is told of a post");
  assert.match(await bob.evaluate(`document.querySelector("#feed-new").textContent`), /새 글 1개/u);
  await bob.click("#feed-new");
  await bob.says("A day at the sea");
  await bob.pictures("#posts", 2);
  assert.equal(await bob.evaluate(`getComputedStyle(document.querySelector(".picture img")).transitionDuration`), "0s", "nothing moves for who does not want it");
  await bob.focus("#posts .like");
  await bob.key("Enter");
  await bob.is(`document.querySelector("#posts .like").getAttribute("aria-pressed") === "true"`, "it is liked");
  assert.equal(await bob.evaluate(`document.activeElement.matches(".like")`), true, "the focus stays");
  await bob.click("#posts [aria-expanded]");
  await bob.type("#posts .replies textarea", "물은 어땠어요? @ann");
  await bob.click("#posts .replies button[type=submit]");
  await bob.is(`document.querySelectorAll("#posts article.reply").length === 1`, "the reply is there");
  await bob.says("좋아요 1개");
  await bob.says("답글 1개");
  await bob.shot("04-post-ko-dark-narrow");
  await bob.evaluate(`document.querySelector("#feed-scroll").scrollTop = 1e6`);
  await bob.shot("05-replies-ko-dark-narrow");
  const spoken = await bob.spoken();
  for (const expected of [/^feed: 피드$/u, /^article: ann .*A day at the sea/u, /^button: 사진 beach\.png$/u, /^button: 좋아요함$/u, /^textbox: 답글 쓰기$/u, /^combobox: 공개 범위$/u, /^region: 답글$/u]) {
    assert.ok(spoken.some((each) => expected.test(each)), `${expected} in\n${spoken.join("\n")}`);
  }
  assert.deepEqual(spoken.filter((each) => /^(button|link|textbox|combobox): $/u.test(each)), [], "all that can be used has a name");

  // Ann looks again, at who likes it too, answers by editing, and views a picture.
  await ann.click("#feed-button");
  await ann.says("1 like");
  await ann.says("1 reply");
  await ann.click("#posts .count");
  await ann.is(`document.querySelector("#panel-body").innerText.includes("bob")`, "who likes it");
  await ann.key("Escape");
  await ann.click("#posts [aria-expanded]");
  await ann.says("물은 어땠어요?");
  await ann.shot("06-replies-light-wide");
  await ann.focus("#posts .picture");
  await ann.key("Enter");
  await ann.is(`document.querySelector("dialog.viewer .frame.is-loaded")`, "the viewer");
  await ann.shot("07-viewer-light-wide");
  await ann.key("ArrowRight");
  await ann.says("hills.png · 2 of 2");
  await ann.key("Escape");
  await ann.is(`!document.querySelector("dialog.viewer")`, "it is closed");
  assert.equal(await ann.evaluate(`document.activeElement.matches(".picture")`), true, "the focus is where it was");
  await ann.click("#posts > article > header [aria-label=Edit]");
  await ann.evaluate(`document.querySelector("#posts .body textarea").select()`);
  await ann.ask("Input.insertText", { text: "Two days at the sea" });
  await ann.click("#posts .body button[type=submit]");
  await ann.is(`document.querySelector("#posts .body").textContent.includes("Two days")`, "another text");
  await ann.says("edited");
  await bob.click("#feed-button");
  await bob.says("Two days at the sea");

  // An account that is open posts to everyone, and is followed; of the own reply Bob thinks better.
  await ann.click("#feed-mine");
  await ann.says("1 post");
  await ann.click("#feed-about input[type=checkbox]");
  await ann.is(`!document.querySelector("#post-place option[value=public]").disabled`, "she may post to everyone");
  await ann.evaluate(`document.querySelector("#post-place select").value = "public"`);
  await ann.film("#post-place textarea", "waves.webm");
  await ann.type("#post-place textarea", "For everyone");
  await ann.is(`document.querySelector("#post-place .chip progress")?.hidden`, "the film is uploaded");
  await ann.click("#post-place button[type=submit]");
  await ann.says("just now · Everyone");
  await ann.is(`document.querySelector("#posts video")?.poster.includes("/poster?")`, "a frame of it stands for the film");
  assert.equal(await ann.evaluate(`fetch(document.querySelector("#posts video").poster).then((answer) => answer.headers.get("content-type"))`), "image/jpeg");
  await bob.click("#posts .author");
  await bob.says("팔로워 0명");
  await bob.is(`[...document.querySelectorAll("#feed-about button")].some((button) => button.textContent === "팔로우")`, "she can be followed");
  await bob.evaluate(`[...document.querySelectorAll("#feed-about button")].find((button) => button.textContent === "팔로우").click()`);
  await bob.says("팔로워 1명");
  await bob.says("For everyone");
  await bob.shot("08-author-ko-dark-narrow");
  await bob.click("#feed-back");
  await bob.click("#feed-button");

  // Another language, while something is being written.
  await ann.click("#feed-button");
  await ann.type("#post-place textarea", "half a thought");
  await ann.click(".language");
  await ann.is(`document.querySelector("#post-place textarea").placeholder === "무슨 일이 있나요?"`, "in Korean");
  assert.equal(await ann.evaluate(`document.querySelector("#post-place textarea").value`), "half a thought");
  await ann.is(`document.querySelector("#status").textContent === "온라인"`, "the connection too");
  await ann.shot("14-feed-ko-light-wide");
  assert.deepEqual(exceptions, []);
});
