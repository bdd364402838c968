// What this tab holds, kept over a reload: channels, their newest messages, and the cursor after them.
//
// They are one record, written at once: a cursor is never kept without what came before it, so that the server goes on from
// exactly there (PROTOCOL rule 3). Each device has its own; those of tabs long closed are cleared.

const STORE = "devices";
const KEPT_MS = 7 * 24 * 3600 * 1000;

let opening;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("rookery", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function transaction(mode, act) {
  const store = (await open()).transaction(STORE, mode).objectStore(STORE);
  const request = act(store);
  return new Promise((resolve, reject) => {
    store.transaction.oncomplete = () => resolve(request?.result);
    store.transaction.onabort = () => reject(store.transaction.error);
  });
}

/** What was held by this device, or undefined. Without a store the tab starts at the newest, as a new device does. */
export async function load(device) {
  try {
    return await transaction("readonly", (store) => store.get(device));
  } catch {
    return undefined;
  }
}

/** `{cursor, channels}` in the place of what was held. */
export async function save(device, held) {
  await transaction("readwrite", (store) => store.put({ ...held, at_ms: Date.now() }, device)).catch(() => {});
}

export async function drop(device) {
  await transaction("readwrite", (store) => store.delete(device)).catch(() => {});
}

/** Clears what closed tabs have left. */
export async function sweep() {
  await transaction("readwrite", (store) => {
    store.openCursor().onsuccess = ({ target: { result } }) => {
      if (!result) return;
      if (Date.now() - result.value.at_ms > KEPT_MS) result.delete();
      result.continue();
    };
  }).catch(() => {});
}
