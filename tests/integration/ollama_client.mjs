// Ollama's client for JavaScript, through a tool call and back: node ollama_client.mjs HOST QUESTION TOOLS RESULT
import { Ollama } from "ollama";

const [host, question, tools, result] = process.argv.slice(2);
const client = new Ollama({ host });
const model = "weather";

async function ask(messages) {
  const message = { role: "assistant", content: "", tool_calls: [] };
  for await (const part of await client.chat({ model, messages, tools: JSON.parse(tools), stream: true })) {
    message.content += part.message.content;
    message.tool_calls.push(...(part.message.tool_calls ?? []));
  }
  return message;
}

const models = (await client.list()).models.map((each) => each.name).sort();
const asked = [{ role: "user", content: question }];
const called = await ask(asked);
const calls = called.tool_calls.map(({ function: { name, arguments: given } }) => ({ name, arguments: given }));
const told = { role: "tool", tool_name: calls[0].name, content: result };
const { content: text } = await ask([...asked, called, told]);
const refused = await client.chat({ model: "nobody", messages: asked }).catch((error) => error.status_code);
const unloaded = (await client.generate({ model, prompt: "", keep_alive: 0 })).done_reason;
console.log(JSON.stringify({ models, calls, text, refused, unloaded }));
