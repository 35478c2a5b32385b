// The official TypeScript SDK, 2.x. Lines in and out as lines.py describes them; MODULES is the folder of node_modules.
import { createInterface } from 'node:readline';

const { MODULES: modules } = process.env;
const load = (path) => import(`${modules}/node_modules/@modelcontextprotocol/client/dist/${path}`);
const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await load('index.mjs');
const { StdioClientTransport } = await load('stdio.mjs');

const PERSON = { username: 'Ada', email: 'ada@example.com' };

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
const client = new Client(
    { name: 'test', version: '1' },
    { versionNegotiation: { mode: setup.mode }, capabilities: { elicitation: { form: {} } } }
);
client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: PERSON }));

let running;
const driven = {
    list: async () => ({
        tools: (await client.listTools()).tools.map(({ name }) => name),
        resources: (await client.listResources()).resources.map(({ uri }) => uri),
        prompts: (await client.listPrompts()).prompts.map(({ name }) => name)
    }),
    tools: async () => ({ tools: (await client.listTools()).tools.map(({ name }) => name) }),
    call: async (call) => {
        const { structuredContent, content, isError = false } = await client.callTool(call);
        return { structuredContent, text: content[0].text, isError };
    },
    resource: async ({ uri }) => ({ text: (await client.readResource({ uri })).contents[0].text }),
    prompt: async (prompt) => ({ text: (await client.getPrompt(prompt)).messages[0].content.text }),
    progress: async ({ name }) => {
        const steps = [];
        await client.callTool({ name }, { onprogress: ({ progress }) => steps.push(progress) });
        return { steps };
    },
    begin: ({ name }) => {
        const abort = new AbortController();
        const call = client.callTool({ name }, { signal: abort.signal }).catch((error) => error);
        running = { abort, call };
        return {};
    },
    cancel: async () => {
        running.abort.abort();
        await running.call;
        return {};
    }
};

try {
    await client.connect(transports[setup.door]());
} catch (error) {
    say({ thrown: String(error) });
    process.exit();
}
say({ revision: client.getNegotiatedProtocolVersion() });
for (let line = await next(); line !== undefined; line = await next()) {
    const { do: what, ...rest } = line;
    try {
        say(await driven[what](rest));
    } catch (error) {
        say({ thrown: String(error) });
    }
}
await client.close();
