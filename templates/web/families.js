// The two API families: how each is asked, and how its stream is read.

import { request } from "./dom.js";
import { textOf } from "./texts.js";

// The pictures of a message stand before its text; their data: URLs are data:TYPE;base64,DATA.
function inParts({ pictures, ...message }, part) {
  if (!pictures?.length) return message;
  const text = message.content && [{ type: "text", text: message.content }];
  return { ...message, content: [...pictures.map(part), ...(text || [])] };
}

function openaiPart(url) {
  return { type: "image_url", image_url: { url } };
}

function anthropicPart(url) {
  const [, type, data] = url.match(/^data:([^;,]*);base64,(.*)$/s);
  return { type: "image", source: { type: "base64", media_type: type, data } };
}

export const FAMILIES = {
  openai: {
    path: "/v1/chat/completions",
    part: openaiPart,
    body: (messages, system, values) => ({
      ...values,
      messages: system ? [{ role: "system", content: system }, ...messages] : messages,
      stream: true,
      stream_options: { include_usage: true },
    }),
    read: (event) => {
      const choice = event.choices?.[0];
      return {
        text: choice?.delta?.content,
        thought: choice?.delta?.reasoning_content ?? choice?.delta?.reasoning,
        calls: choice?.delta?.tool_calls?.map(({ index, function: part }) => ({ index, name: part?.name, arguments: part?.arguments })),
        tokens: event.usage?.completion_tokens,
        reused: event.usage?.prompt_tokens_details?.cached_tokens,
        cut: choice?.finish_reason === "length",
      };
    },
  },
  anthropic: {
    path: "/anthropic/v1/messages",
    part: anthropicPart,
    body: (messages, system, values) => ({ ...values, messages, ...(system && { system }), stream: true }),
    read: (event) => ({
      text: event.delta?.text,
      thought: event.delta?.thinking,
      calls: callsOf(event),
      tokens: event.type === "message_delta" ? event.usage?.output_tokens : undefined,
      reused: event.usage?.cache_read_input_tokens ?? event.message?.usage?.cache_read_input_tokens,
      cut: event.delta?.stop_reason === "max_tokens",
    }),
  },
};

// Of Anthropic's events: a call begins with its name, and its arguments follow in pieces.
function callsOf({ type, index, content_block: block, delta }) {
  if (type === "content_block_start" && block.type === "tool_use") return [{ index, name: block.name }];
  return delta?.partial_json === undefined ? undefined : [{ index, arguments: delta.partial_json }];
}

// Yields the server-sent events of a body as {name, data}, and its comments as {comment}.
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = block.split(/\r?\n/).map((line) => line.match(/^(event|data|): ?(.*)$/) ?? []);
        const values = (name) => fields.filter((field) => field[1] === name).map((field) => field[2]);
        if (values("").length) yield { comment: values("").at(-1) };
        if (values("data").length) yield { name: values("event")[0], data: values("data").join("\n") };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export async function failure(answer) {
  const body = await answer.json().catch(() => null);
  return new Error(body?.error?.message ?? textOf("chat.status", { status: `${answer.status} ${answer.statusText}` }));
}

// Streams one answer; `tell` hears of each piece: {text, thought, calls, tokens, reused, cut}, absent where
// nothing came; calls of tools are pieces, too: [{index, name, arguments}];
// and before the first, of its place in the queue: {position}, 1 for the next, 0 once it is through.
export async function ask(family, question, signal, tell) {
  const { path, part, body, read } = FAMILIES[family];
  const messages = question.messages.map((message) => inParts(message, part));
  const answer = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body(messages, question.system, question.values)),
    signal,
  });
  if (!answer.ok) throw await failure(answer);
  for await (const { data, comment } of readEvents(answer.body)) {
    if (comment?.startsWith("waiting")) tell({ position: Number(comment.match(/position (\d+)/)?.[1] ?? 0) });
    if (data === undefined || data === "[DONE]") continue;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message ?? String(event.error));
    tell(read(event));
  }
}
