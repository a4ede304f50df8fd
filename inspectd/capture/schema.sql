-- The capture file, version 3. Bytes are the record: `page` holds what was on the wire, and every other table
-- says where in the pages something lies and when it happened. Times are nanoseconds since the epoch.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE listener (
    id        INTEGER PRIMARY KEY,
    address   TEXT NOT NULL,              -- as it was bound: "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock"
    asked     TEXT NOT NULL,              -- as the person wrote it
    opened_ns INTEGER NOT NULL,
    closed_ns INTEGER,
    backlog   INTEGER NOT NULL,
    steps     TEXT NOT NULL               -- JSON: [[ns, call, detail], ...]: socket, setsockopt, bind, listen
);

-- A row for every accepted connection, whatever it sent.
CREATE TABLE connection (
    id          INTEGER PRIMARY KEY,
    listener    INTEGER NOT NULL,
    peer        TEXT NOT NULL,
    local       TEXT NOT NULL,
    opened_ns   INTEGER NOT NULL,         -- accept() returned
    first_in_ns INTEGER,
    last_in_ns  INTEGER,
    last_out_ns INTEGER,
    closed_ns   INTEGER,
    closed_by   TEXT,                     -- "client" | "server"
    how         TEXT,                     -- "fin" | "rst" | "timeout" | "error"
    fin_in_ns   INTEGER,                  -- the client's FIN arrived
    fin_out_ns  INTEGER,                  -- our FIN was asked for
    bytes_in    INTEGER NOT NULL DEFAULT 0,
    bytes_out   INTEGER NOT NULL DEFAULT 0,
    exchanges   INTEGER NOT NULL DEFAULT 0,
    newest      INTEGER,                  -- id of its last exchange: the head of the chain; while it is open this
                                          -- may lag behind by a moment
    rtt_us      INTEGER,                  -- TCP_INFO at accept; NULL where the system gives none
    queue_len   INTEGER,                  -- connections waiting in the accept queue when this one was taken
    queue_max   INTEGER,
    kind        TEXT,                     -- NULL while ordinary; else "preconnect" "half-head" "tls" "http2"
                                          -- "socks" "garbage" "over-limit" "reset-on-accept"
                                          -- "closed-on-accept" "other"
    sentence    TEXT,                     -- what it was, in words
    after       INTEGER NOT NULL DEFAULT 0, -- id of the newest exchange when `kind` was first set: its place in the list
    inside      INTEGER                   -- the connection that carries this one in a tunnel (CONNECT, SOCKS): what was
                                          -- read inside it, decrypted when it is TLS; NULL for one of its own
);

-- One narrow row an exchange: enough for the list and the filter, and where its bytes lie.
CREATE TABLE exchange (
    id              INTEGER PRIMARY KEY,  -- dense, from 1, in order of arrival
    connection      INTEGER NOT NULL,
    number          INTEGER NOT NULL,     -- nth exchange of its connection, from 1
    previous        INTEGER,              -- id of the exchange before it on its connection: a chain instead of an
                                          -- index, which would touch a page a connection in every transaction
    state           INTEGER NOT NULL,     -- bits, capture/model.py: State
    started_ns      INTEGER NOT NULL,     -- first byte of the request (after any blank lines)
    received_ns     INTEGER,              -- last byte of the request
    answered_ns     INTEGER,              -- first byte of the response handed to the socket
    finished_ns     INTEGER,              -- last byte of the response handed to the socket
    method          TEXT,
    target          TEXT,                 -- at most 4096 characters; the bytes are in the pages
    version         TEXT,
    status          TEXT,                 -- as sent: three digits, or whatever was chosen
    reason          TEXT,
    client          TEXT,                 -- short name from User-Agent ("Chrome 156", "curl 8.14") or ""
    dest            TEXT,                 -- Sec-Fetch-Dest, -Mode, -Site as sent; NULL when absent
    mode            TEXT,
    site            TEXT,
    host            TEXT,
    label           TEXT,                 -- where the answer came from: Program.label
    added           TEXT,                 -- JSON list of field lines inspectd added; NULL when none
    req_offset      INTEGER NOT NULL,     -- offset in the connection's incoming stream
    req_page        INTEGER NOT NULL,     -- page that holds its first byte, the byte's place in that page, and
    req_at          INTEGER NOT NULL,     -- how many bytes from there on belong to the same read
    req_run         INTEGER NOT NULL,
    req_head        INTEGER NOT NULL,     -- bytes of the head; what follows up to req_len is content and trailers
    req_len         INTEGER,              -- bytes of the whole request so far
    res_offset      INTEGER,
    res_page        INTEGER,
    res_at          INTEGER,
    res_run         INTEGER,
    res_head        INTEGER,
    res_len         INTEGER,
    marked          INTEGER NOT NULL DEFAULT 0,
    note            TEXT
);

-- Bytes that crossed in one turn of the engine's loop, joined. Never rewritten.
CREATE TABLE page (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);

-- A read or a write that no exchange row points to: the later reads of a long body, a half head, a TLS hello.
-- Together with the runs in `exchange` these rows cover each stream without a gap.
CREATE TABLE segment (
    connection INTEGER NOT NULL,
    direction  INTEGER NOT NULL,          -- 0 from the client, 1 to the client
    offset     INTEGER NOT NULL,          -- of its first byte in the stream
    page       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    length     INTEGER NOT NULL,
    ns         INTEGER NOT NULL,
    PRIMARY KEY (connection, direction, offset)
) WITHOUT ROWID;

-- What a client did with a crafted answer: a row for each exchange that a rule or a person answered, from the moment
-- the answer begins, and again whenever more is known.
CREATE TABLE evidence (
    exchange INTEGER PRIMARY KEY,
    rule     TEXT NOT NULL,               -- Program.rule; "held" when a person decided
    planned  INTEGER,                     -- bytes that the whole program would send; NULL when nobody knows
    sent     INTEGER NOT NULL,            -- bytes of it handed to the socket
    acked    INTEGER,                     -- of those, acknowledged by the client's kernel; NULL where the system
                                          -- doesn't tell
    reused   INTEGER NOT NULL,            -- the connection had carried a request before
    attempt  INTEGER NOT NULL,            -- 1, 2, ...: the same request came from the same host before
    previous INTEGER,                     -- exchange of the attempt before
    gap_ns   INTEGER,                     -- from the end of that attempt (the last byte sent to it, or the end of its
                                          -- connection when the answer never was whole) to the first byte of this one;
                                          -- NULL when that came first: the two overlap
    ended_by TEXT,                        -- "client" | "server", when the connection ended and nothing was answered on
    how      TEXT,                        -- it after this: "fin" | "rst" | "timeout"
    after_ns INTEGER                      -- that FIN or RST came so long after the last byte of the answer, or after
                                          -- the request when no byte was sent; negative: before the last byte
);
CREATE INDEX evidence_previous ON evidence (previous) WHERE previous IS NOT NULL;

-- What was agreed upon before a byte of HTTP: a row for each connection of a client that sent something where TLS is
-- spoken, and for each connection to a server that speaks it. The pages hold what was decrypted.
CREATE TABLE tls (
    connection  INTEGER PRIMARY KEY,
    hello       BLOB NOT NULL,            -- the ClientHello with its record headers, as sent; or as much as came of it
    sni         TEXT,                     -- the name that the client asked for (RFC 6066 §3); NULL when it named none
    alpn        TEXT,                     -- the protocol agreed upon (RFC 7301)
    version     TEXT,                     -- "TLSv1.3"
    cipher      TEXT,
    certificate TEXT,                     -- the names in the certificate that was shown, with spaces between them
    shaken_ns   INTEGER,                  -- the handshake was complete
    alert       TEXT,                     -- the fatal alert that ended it, by its name in RFC 8446 §6
    sentence    TEXT,                     -- what went wrong, in words
    shown       BLOB                      -- the certificate (DER) that the other side showed: a server's, or a client's
);

-- A connection that inspectd made to a server, to forward what came on another one. In its row in `connection` the
-- client is inspectd and the server is the other: direction 0 holds requests, 1 responses. Its listener is 0.
CREATE TABLE upstream (
    connection INTEGER PRIMARY KEY,
    client     INTEGER NOT NULL,          -- the connection whose requests it carries
    origin     TEXT NOT NULL,             -- the server by its name: "localhost:3000"
    via        TEXT                       -- the proxy on the way to it, without credentials; NULL when there is none
);

-- An exchange that was forwarded to a server: what was sent there and came back, and what that took. Bytes that are
-- the same on both sides are in the pages once.
CREATE TABLE forward (
    exchange   INTEGER PRIMARY KEY,
    upstream   INTEGER,                   -- the connection to the server; NULL when there was none
    origin     TEXT NOT NULL,
    begun_ns   INTEGER NOT NULL,          -- it was this exchange's turn
    resolve_ns INTEGER,                   -- how long it took to find the addresses of the name, and
    connect_ns INTEGER,                   -- to be connected to one; NULL on a connection that was there already
    sent_ns    INTEGER,                   -- when the first byte of the request was handed to the socket,
    whole_ns   INTEGER,                   -- and the last one
    came_ns    INTEGER,                   -- when the first byte of the response came, and the last one
    done_ns    INTEGER,
    req_offset INTEGER,                   -- where they lie, as in `exchange`, but on the connection to the server
    req_page   INTEGER NOT NULL,
    req_at     INTEGER NOT NULL,
    req_run    INTEGER NOT NULL,
    req_len    INTEGER NOT NULL,
    res_offset INTEGER,
    res_page   INTEGER NOT NULL,
    res_at     INTEGER NOT NULL,
    res_run    INTEGER NOT NULL,
    res_len    INTEGER NOT NULL,
    changes    TEXT,                      -- JSON: [{"what": ..., "from": ..., "to": ...}, ...]: where the request that
                                          -- was sent differs from the one that came; NULL when nowhere
    failure    TEXT,                      -- what went wrong with the server, in words
    tls_ns     INTEGER,                   -- how long the TLS handshake took; NULL without one
    res_changes TEXT                      -- as `changes`, for the response: where what the client was sent differs from
                                          -- what the server sent; NULL when nowhere
);

-- Retention asks whether anything still needs a page. For exchanges it needs no index: ids and req_page ascend
-- together, and res_page is never below req_page.
CREATE INDEX segment_page ON segment (page);

-- Small ones, for what is open now and for the rows that are connections.
CREATE INDEX connection_open ON connection (id) WHERE closed_ns IS NULL;
CREATE INDEX connection_kind ON connection (after, id) WHERE kind IS NOT NULL;
