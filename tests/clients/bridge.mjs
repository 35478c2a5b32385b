// The official TypeScript client, driven by a test: one JSON line in, one JSON line out.
// First line: {"door": "http" | "sse" | "stdio", "url", "command", "args", "env", "mode", "headers"}; then {"name", "arguments"} for each call.
import { createInterface } from 'node:readline';

const { MODULES: modules } = process.env;
const load = (path) => import(`${modules}/node_modules/@modelcontextprotocol/client/dist/${path}`);
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await load('index.mjs');
const { StdioClientTransport } = await load('stdio.mjs');

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => {
    const { value, done } = await lines.next();
    return done ? undefined : JSON.parse(value);
};
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const setup = await next();
const options = { requestInit: { headers: setup.headers } };
const transports = {
    http: () => new StreamableHTTPClientTransport(new URL(setup.url), options),
    sse: () => new SSEClientTransport(new URL(setup.url), options),
    stdio: () => new StdioClientTransport({ command: setup.command, args: setup.args, env: setup.env })
};
const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: setup.mode } });
try {
    await client.connect(transports[setup.door]());
} catch (error) {
    say({ thrown: String(error) });
    process.exit();
}
const { tools } = await client.listTools();
say({ tools: tools.map((tool) => tool.name) });
for (let call = await next(); call !== undefined; call = await next()) {
    try {
        const { structuredContent, content, isError = false } = await client.callTool(call);
        say({ structuredContent, text: content[0].text, isError });
    } catch (error) {
        say({ thrown: String(error) });
    }
}
await client.close();
