// The welcome page's behaviour. The server sends a complete page; this keeps it true and adds the chat.
//
//   page.js           waits for the first paint, then starts the parts
//   status.js         how the server is: asks /status.json, shows the verdict, the figures of now, the programs
//   requests.js       what runs, what waits, and the models that are marked
//   activity.js       what has ended
//   models.js         the model picker and its search
//   models-view.js    the models of this machine, and downloads
//   chat.js           the open conversation; families.js asks, message.js and markdown.js show, running.js tells other tabs
//   pictures.js       the pictures of the next question
//   conversations.js  the list of them; conversation.js is one as data, storage.js keeps them
//   use.js            the snippets, with what was asked
//   logs.js           the live tail
//   appearance.js     light, dark, or as the system; the language
//   settings.js       the settings, shown and changed
//   copy.js           the copy buttons and the diagnostics
//   dom.js            what all of them need; figures.js puts figures into words,
//                     texts.js has the words

const PARTS = ["./status.js", "./requests.js", "./activity.js", "./models.js", "./models-view.js", "./pictures.js", "./conversations.js", "./use.js", "./chat.js", "./logs.js", "./copy.js", "./appearance.js", "./settings.js"];

async function start() {
  const parts = await Promise.all(PARTS.map((part) => import(part)));
  // A page that is not looked at has no frames: there its main part would never appear, and could not be scrolled.
  for (const animation of document.querySelector("main").getAnimations()) animation.finish();
  for (const part of parts) part.start();
}

// What is asked for and run before the first paint would delay it. A page that nobody looks at is not painted.
function whenPainted(go) {
  if (document.hidden || !PerformanceObserver.supportedEntryTypes.includes("paint")) return go();
  const observer = new PerformanceObserver(() => {
    observer.disconnect();
    go();
  });
  observer.observe({ type: "paint", buffered: true });
}

whenPainted(start);
