// The TypeScript SDK's tool runner, through a whole loop: node tool_runner.mjs BASE_URL QUESTION TOOL RESULT
import Anthropic from "@anthropic-ai/sdk";

const [baseURL, question, tool, result] = process.argv.slice(2);
const { name, description, input_schema } = JSON.parse(tool);
const asked = [];
const client = new Anthropic({ baseURL, apiKey: "local", maxRetries: 0 });
const runner = client.beta.messages.toolRunner({
  model: "weather",
  max_tokens: 200,
  messages: [{ role: "user", content: question }],
  tools: [
    {
      type: "custom",
      name,
      description,
      input_schema,
      parse: (input) => input,
      run: (input) => {
        asked.push(input);
        return result;
      },
    },
  ],
  stream: process.argv[6] === "stream",
});
const reasons = [];
for await (const step of runner) reasons.push((step.finalMessage ? await step.finalMessage() : step).stop_reason);
const last = await runner.done();
console.log(JSON.stringify({ asked, reasons, text: last.content.map((block) => block.text ?? "").join("") }));
