/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The misbehaving server. */
#include "tests/unit/stub_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 1024
#define MAX_UPLOADS 256
#define TURN_BYTES 16384

struct connection {
	struct stub_server *server;
	pthread_t thread;
	int fd;
	unsigned served;
	char head[STUB_HEADER_BYTES];
	size_t head_len;          /* bytes in head, perhaps with the start of the body */
};

struct stub_server {
	struct stub_rule *rules;
	int fd;
	unsigned port;
	pthread_t thread;
	pthread_mutex_t lock;
	bool stopping;
	struct connection *connections[MAX_CONNECTIONS];
	unsigned connection_count;
	struct stub_upload uploads[MAX_UPLOADS];
	unsigned upload_count;
};

struct message {
	char method[8];
	char key[128];
	char query[256];
	size_t head_bytes;
	uint64_t body_bytes;
	bool has_range;
	uint64_t first, last;
};

static void die(const char *what)
{
	perror(what);
	abort();
}

/* --------------------------------------------------------------------------------------------------- sockets */

static bool send_all(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void reset(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void wait_for_peer(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	poll(&p, 1, 20000);
}

static bool send_object(int fd, uint64_t first, uint64_t len, int delay_ms)
{
	unsigned char buf[TURN_BYTES];

	while (len > 0) {
		size_t n = len < sizeof(buf) ? (size_t)len : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = stub_byte(first + i);
		if (!send_all(fd, buf, n))
			return false;
		first += n;
		len -= n;
		if (delay_ms)
			usleep((useconds_t)delay_ms * 1000);
	}
	return true;
}

/* -------------------------------------------------------------------------------------------------- requests */

static bool read_head(struct connection *c, struct message *m)
{
	char *end, *p, *value, *query;

	while (!(end = memmem(c->head, c->head_len, "\r\n\r\n", 4))) {
		ssize_t n = recv(c->fd, c->head + c->head_len, sizeof(c->head) - 1 - c->head_len, 0);

		if (n <= 0)
			return false;
		c->head_len += (size_t)n;
	}
	*end = '\0';
	*m = (struct message){.head_bytes = (size_t)(end + 4 - c->head)};
	p = strchr(c->head, ' ');
	snprintf(m->method, sizeof(m->method), "%.*s", (int)(p - c->head), c->head);
	p = strchr(p + 2, '/'); /* behind the bucket */
	if (p) {
		p++;
		snprintf(m->key, sizeof(m->key), "%.*s", (int)strcspn(p, " ?"), p);
		query = p + strcspn(p, " ?");
		if (*query == '?')
			snprintf(m->query, sizeof(m->query), "%.*s", (int)strcspn(query + 1, " "), query + 1);
	}
	value = strcasestr(c->head, "\r\ncontent-length:");
	if (value)
		m->body_bytes = strtoull(value + 17, NULL, 10);
	value = strcasestr(c->head, "\r\nrange: bytes=");
	if (value) {
		m->has_range = true;
		m->first = strtoull(value + 15, &p, 10);
		m->last = p[1] >= '0' && p[1] <= '9' ? strtoull(p + 1, NULL, 10) : UINT64_MAX;
	}
	return true;
}

static struct stub_upload *find_upload_locked(struct stub_server *s, const char *key)
{
	for (unsigned i = 0; i < s->upload_count; i++)
		if (!strcmp(s->uploads[i].key, key))
			return &s->uploads[i];
	return NULL;
}

static struct stub_upload *open_upload(struct stub_server *s, const struct message *m, const char *head)
{
	struct stub_upload *u;

	pthread_mutex_lock(&s->lock);
	u = find_upload_locked(s, m->key);
	if (!u) {
		if (s->upload_count == MAX_UPLOADS)
			die("too many uploads");
		u = &s->uploads[s->upload_count++];
		snprintf(u->key, sizeof(u->key), "%s", m->key);
	}
	u->opened++;
	u->promised_bytes = m->body_bytes;
	u->received_bytes = 0;
	snprintf(u->method, sizeof(u->method), "%s", m->method);
	snprintf(u->query, sizeof(u->query), "%s", m->query);
	snprintf(u->header, sizeof(u->header), "%s", head);
	free(u->body);
	u->body = malloc(m->body_bytes + 1);
	if (!u->body)
		die("malloc");
	pthread_mutex_unlock(&s->lock);
	return u;
}

/* Reads up to LIMIT bytes of the body. */
static bool read_body(struct connection *c, const struct message *m, struct stub_upload *u, uint64_t limit,
		      int delay_ms)
{
	size_t there = c->head_len - m->head_bytes;

	if (there > m->body_bytes)
		there = m->body_bytes;
	if (u->received_bytes == 0 && there > 0) {
		memcpy(u->body, c->head + m->head_bytes, there);
		u->received_bytes = there;
	}
	while (u->received_bytes < limit) {
		uint64_t left = limit - u->received_bytes;
		ssize_t n = recv(c->fd, u->body + u->received_bytes, left < TURN_BYTES ? left : TURN_BYTES, 0);

		if (n <= 0)
			return false;
		u->received_bytes += (uint64_t)n;
		if (delay_ms)
			usleep((useconds_t)delay_ms * 1000);
	}
	return true;
}

/* --------------------------------------------------------------------------------------------------- answers */

static bool answer(struct connection *c, int status, const struct stub_rule *rule, const char *more)
{
	const char *body = rule && rule->body ? rule->body : "";
	char head[2048];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s%s\r\n", status,
			 strlen(body), rule && rule->header ? rule->header : "", more);

	return send_all(c->fd, head, (size_t)n) && send_all(c->fd, body, strlen(body));
}

static bool answer_cut_short(struct connection *c, int status)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %d Whatever\r\nContent-Length: 1000\r\n\r\n<Error>", status);

	send_all(c->fd, text, (size_t)n);
	return false;
}

static bool send_long_header(struct connection *c)
{
	if (!send_all(c->fd, "HTTP/1.1 200 OK\r\n", 17))
		return false;
	for (int i = 0; i < 100000; i++)
		if (!send_all(c->fd, "x-amz-meta-more: and more\r\n", 27))
			return false;
	return false;
}

static bool send_chunked(struct connection *c, const char *head, uint64_t first, uint64_t len)
{
	char size[32];
	int n = snprintf(size, sizeof(size), "%llx\r\n", (unsigned long long)len);

	return send_all(c->fd, head, strlen(head)) && send_all(c->fd, "Transfer-Encoding: chunked\r\n\r\n", 30) &&
	       send_all(c->fd, size, (size_t)n) && send_object(c->fd, first, len, 0) &&
	       send_all(c->fd, "\r\n0\r\n\r\n", 7);
}

/* False: the connection ends. */
static bool serve_get(struct connection *c, const struct message *m, const struct stub_rule *rule,
		      enum stub_fault fault)
{
	uint64_t first = m->has_range ? m->first : 0, end = rule->size_bytes, len;
	bool whole = !m->has_range || fault == STUB_IGNORES_RANGE;
	char head[1024];
	int n;

	if (m->has_range && m->last < end)
		end = m->last + 1;
	if (fault == STUB_IGNORES_RANGE) {
		first = 0;
		end = rule->size_bytes;
	}
	if (fault == STUB_LONGER || fault == STUB_LONGER_CHUNKED || fault == STUB_OTHER_RANGE)
		end++;
	if (fault == STUB_SHORTER)
		end--;
	if (fault == STUB_OTHER_RANGE)
		first++;
	len = end - first;
	n = snprintf(head, sizeof(head), "HTTP/1.1 %d OK\r\nETag: \"tag\"\r\n%s", whole ? 200 : 206,
		     rule->header ? rule->header : "");
	/* Only the range that was promised is right in the liars' header. */
	if (!whole)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Range: bytes %llu-%llu/%llu\r\n",
			      (unsigned long long)first,
			      (unsigned long long)(fault == STUB_LONGER_CHUNKED ? end - 2 : end - 1),
			      (unsigned long long)rule->size_bytes);
	if (fault == STUB_LATE)
		usleep((useconds_t)rule->delay_ms * 1000);
	if (fault == STUB_CHUNKED || fault == STUB_LONGER_CHUNKED)
		return send_chunked(c, head, first, len);
	snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %llu\r\n\r\n", (unsigned long long)len);
	if (!send_all(c->fd, head, strlen(head)))
		return false;
	if (!strcmp(m->method, "HEAD"))
		return true;
	switch (fault) {
	case STUB_RESET_IN_BODY:
		send_object(c->fd, first, len / 2, 0);
		usleep(50000); /* what was sent shall arrive before the RST */
		reset(c->fd);
		return false;
	case STUB_CLOSE_IN_BODY:
		send_object(c->fd, first, len / 2, 0);
		return false;
	case STUB_STALL:
		if (send_object(c->fd, first, len / 2, 0))
			wait_for_peer(c->fd);
		return false;
	default:
		return send_object(c->fd, first, len, fault == STUB_SLOW ? rule->delay_ms : 0);
	}
}

static bool serve_upload(struct connection *c, const struct message *m, const struct stub_rule *rule,
			 enum stub_fault fault)
{
	struct stub_upload *u = open_upload(c->server, m, c->head);

	if (fault == STUB_STATUS_KEEPS) {
		usleep((useconds_t)rule->delay_ms * 1000);
		answer(c, rule->status, rule, "");
		wait_for_peer(c->fd);
		return false;
	}
	if (fault == STUB_STATUS_EARLY) {
		answer(c, rule->status, rule, "Connection: close\r\n");
		/* Closing with unread bytes would be a RST that may overtake the answer. */
		shutdown(c->fd, SHUT_WR);
		usleep(200000);
		return false;
	}
	if (fault == STUB_DIES_ON_REUSE) {
		/* After all of the body: libcurl sends again what was lost while it waits for an answer, but
		 * reports what is lost while it sends. */
		read_body(c, m, u, m->body_bytes, 0);
		reset(c->fd);
		return false;
	}
	if (fault == STUB_RESET_IN_BODY || fault == STUB_CLOSE_IN_BODY || fault == STUB_STALL) {
		read_body(c, m, u, m->body_bytes / 2, 0);
		if (fault == STUB_STALL)
			wait_for_peer(c->fd);
		else if (fault != STUB_CLOSE_IN_BODY)
			reset(c->fd);
		return false;
	}
	if (!read_body(c, m, u, m->body_bytes, fault == STUB_SLOW ? rule->delay_ms : 0))
		return false;
	pthread_mutex_lock(&c->server->lock);
	u->completed++;
	pthread_mutex_unlock(&c->server->lock);
	if (fault == STUB_LATE)
		usleep((useconds_t)rule->delay_ms * 1000);
	return answer(c, fault == STUB_STATUS ? rule->status : 200, rule, "ETag: \"stored\"\r\n");
}

static struct stub_rule *find_rule(struct stub_server *s, const struct message *m)
{
	for (struct stub_rule *r = s->rules; r->method; r++)
		if (!strcmp(r->method, m->method) && !strcmp(r->key, m->key))
			return r;
	return NULL;
}

static enum stub_fault take_fault(struct connection *c, struct stub_rule *rule)
{
	enum stub_fault fault;

	if (!rule || (rule->fault == STUB_DIES_ON_REUSE && c->served == 0))
		return STUB_OK;
	pthread_mutex_lock(&c->server->lock);
	fault = rule->fault;
	if (rule->times > 0 && --rule->times == 0)
		rule->fault = STUB_OK;
	pthread_mutex_unlock(&c->server->lock);
	return fault;
}

static bool serve(struct connection *c)
{
	struct message m;
	struct stub_rule *rule;
	enum stub_fault fault;
	bool upload, go_on;

	if (!read_head(c, &m))
		return false;
	rule = find_rule(c->server, &m);
	fault = take_fault(c, rule);
	upload = !strcmp(m.method, "PUT") || !strcmp(m.method, "POST");
	if (fault == STUB_RESET) {
		reset(c->fd);
		return false;
	}
	if (fault == STUB_NOT_HTTP) {
		send_all(c->fd, "220 mail.example.org ESMTP\r\n", 28);
		return false;
	}
	if (fault == STUB_STATUS_CUT)
		return answer_cut_short(c, rule->status);
	if (fault == STUB_LONG_HEADER)
		return send_long_header(c);
	if (upload)
		go_on = serve_upload(c, &m, rule, fault);
	else if (fault == STUB_DIES_ON_REUSE)
		return false;
	else if (!rule)
		go_on = answer(c, 404, &(struct stub_rule){.body = "<Error><Code>NoSuchKey</Code></Error>"}, "");
	else if (fault == STUB_STATUS || fault == STUB_STATUS_EARLY || !strcmp(m.method, "DELETE"))
		go_on = answer(c, rule->status ? rule->status : 204, rule, "");
	else if (rule->body && !strcmp(m.method, "GET"))
		go_on = answer(c, 200, rule, "");
	else
		go_on = serve_get(c, &m, rule, fault);
	/* No test sends a second request before the first is answered. */
	c->head_len = 0;
	c->served++;
	return go_on;
}

static void *connection_main(void *arg)
{
	struct connection *c = arg;

	while (serve(c))
		;
	pthread_mutex_lock(&c->server->lock);
	close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&c->server->lock);
	return NULL;
}

/* ---------------------------------------------------------------------------------------------------- server */

static void *accept_main(void *arg)
{
	struct stub_server *s = arg;
	int fd, one = 1;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct connection *c = calloc(1, sizeof(*c));

		if (!c)
			die("calloc");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->server = s;
		c->fd = fd;
		pthread_mutex_lock(&s->lock);
		if (s->connection_count == MAX_CONNECTIONS)
			die("too many connections");
		s->connections[s->connection_count++] = c;
		pthread_mutex_unlock(&s->lock);
		if (pthread_create(&c->thread, NULL, connection_main, c))
			die("pthread_create");
	}
	return NULL;
}

struct stub_server *stub_server_start(struct stub_rule *rules)
{
	struct stub_server *s = calloc(1, sizeof(*s));
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	if (!s)
		die("calloc");
	s->rules = rules;
	pthread_mutex_init(&s->lock, NULL);
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&address, len) || listen(s->fd, 512) ||
	    getsockname(s->fd, (struct sockaddr *)&address, &len))
		die("listen");
	s->port = ntohs(address.sin_port);
	if (pthread_create(&s->thread, NULL, accept_main, s))
		die("pthread_create");
	return s;
}

void stub_server_stop(struct stub_server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->connection_count; i++)
		if (s->connections[i]->fd >= 0)
			shutdown(s->connections[i]->fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->connection_count; i++) {
		pthread_join(s->connections[i]->thread, NULL);
		free(s->connections[i]);
	}
	for (unsigned i = 0; i < s->upload_count; i++)
		free(s->uploads[i].body);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

unsigned stub_server_port(const struct stub_server *s)
{
	return s->port;
}

unsigned stub_server_connections(struct stub_server *s)
{
	unsigned count;

	pthread_mutex_lock(&s->lock);
	count = s->connection_count;
	pthread_mutex_unlock(&s->lock);
	return count;
}

const struct stub_upload *stub_server_upload(struct stub_server *s, const char *key)
{
	struct stub_upload *u;

	pthread_mutex_lock(&s->lock);
	u = find_upload_locked(s, key);
	pthread_mutex_unlock(&s->lock);
	return u;
}
