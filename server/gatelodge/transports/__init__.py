"""The doors: Streamable HTTP, HTTP+SSE, stdio and plain REST. Each turns bytes into messages, and serialises once."""
