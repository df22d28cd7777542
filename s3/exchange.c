/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libcurl easy handles: options, callbacks, measurements. */
#include "s3/exchange.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "s3/base/clock.h"
#include "s3/bucket.h"
#include "s3/wire_message.h"

/* A connection idle for longer is not used again. Many servers and most address translators keep one for 30 s or more;
 * those that hang up earlier (S3 itself after about 5 s) do so audibly: libcurl looks before it reuses, and what slips
 * through is sent again on a fresh connection, or ends as S3_ERR_NETWORK. */
#define CONNECTION_MAX_IDLE_S 25L

/* Large buffers save processor time on large bodies; of small ones many are sent at once, and memory bounds how many. */
#define LARGE_BODY_BYTES ((uint64_t)1 << 20)
#define LARGE_UPLOAD_BUFFER_BYTES (512L << 10)
#define SMALL_BODY_BYTES ((uint64_t)256 << 10)
#define SMALL_UPLOAD_BUFFER_BYTES (32L << 10)
#define UPLOAD_BUFFER_BYTES (64L << 10)

/* ------------------------------------------------------------------------------------------------ callbacks */

size_t exchange_violation(struct exchange *x, const char *why)
{
	if (!x->violation)
		x->violation = why;
	return EXCHANGE_STOP;
}

static int parse_status(const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	int status = 0;

	if (!space)
		return 0;
	for (const char *p = space + 1; p < line + len && isdigit((unsigned char)*p) && status < 1000; p++)
		status = status * 10 + (*p - '0');
	return status;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	size_t len = size * count;

	x->received_bytes += len;
	if (x->first_byte_us == 0)
		x->first_byte_us = clock_monotonic_us();
	if (x->answer_complete)
		return len; /* a trailer */
	if (len >= 5 && !memcmp(line, "HTTP/", 5))
		x->http_status = parse_status(line, len);
	if (!wire_header_line(&x->request->result, line, len))
		return 0; /* wire_fail knows why */
	if (*line != '\r' && *line != '\n')
		return len;
	x->answer_complete = x->http_status >= 200; /* 100 Continue and the like announce another answer */
	/* libcurl stops sending when it is refused, but waits for ever for a body that is paused. */
	if (x->answer_complete && x->http_status >= 300 && x->send_paused)
		exchange_resume_send(x);
	return len;
}

static size_t collect_answer(struct exchange *x, const char *bytes, size_t len)
{
	bool is_error = x->http_status >= 300;

	if (!is_error && x->request->op == S3_OP_GET) {
		/* Not the bytes that were asked for, and there may be terabytes of them: the header has said so. */
		x->answer_suffices = true;
		return 0;
	}
	if (x->answer.len + len > (is_error ? WIRE_ERROR_MAX_BYTES : WIRE_BODY_MAX_BYTES)) {
		/* Of an error only the start is of interest, and the status says enough without it. */
		x->answer_suffices = is_error;
		if (!is_error)
			exchange_violation(x, "the answer is too long");
		return 0;
	}
	strbuf_add(&x->answer, bytes, len);
	return x->answer.failed ? 0 : len;
}

static size_t on_write(char *bytes, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	size_t len = size * count, n;

	if (!x->body_begun) {
		x->body_begun = true;
		x->body_is_data = wire_body_is_data(x->request, x->http_status);
	}
	if (!x->body_is_data) {
		x->received_bytes += len;
		return collect_answer(x, bytes, len);
	}
	n = x->ops->data(x, bytes, len);
	if (n == EXCHANGE_PAUSE) {
		x->receive_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (n == EXCHANGE_STOP)
		return 0;
	assert(n == len);
	x->received_bytes += len;
	return len;
}

static size_t on_read(char *buf, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	size_t n = x->ops->body(x, buf, size * count);

	if (n == EXCHANGE_PAUSE) {
		x->send_paused = true;
		return CURL_READFUNC_PAUSE;
	}
	return n == EXCHANGE_STOP ? CURL_READFUNC_ABORT : n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct exchange *x = arg;

	if (origin != SEEK_SET || offset != 0)
		return CURL_SEEKFUNC_CANTSEEK;
	return x->ops->rewind(x) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

/* -------------------------------------------------------------------------------------------------- handles */

int exchange_pool_init(struct exchange_pool *p, size_t idle_capacity)
{
	p->idle_count = 0;
	p->idle_capacity = idle_capacity;
	p->idle = calloc(idle_capacity, sizeof(*p->idle));
	return p->idle ? 0 : -ENOMEM;
}

void exchange_pool_clear(struct exchange_pool *p)
{
	while (p->idle_count > 0)
		curl_easy_cleanup(p->idle[--p->idle_count]);
	free(p->idle);
	p->idle = NULL;
	p->idle_capacity = 0;
}

/* What is the same for every exchange is set once per handle. */
static void set_lasting_options(CURL *easy, const struct exchange_pool *p)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_SHARE, p->share);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* A key may hold "." and ".." components; the path is sent as it was signed. */
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	/* One connection per stream is what makes a copy fast; HTTP/2 would put all on one. */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)p->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, CONNECTION_MAX_IDLE_S);
	/* S3 names several addresses; threads that each resolve for themselves then spread over them. */
	curl_easy_setopt(easy, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, p->user_agent);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
}

static CURL *take_handle(struct exchange_pool *p)
{
	CURL *easy;

	if (p->idle_count > 0)
		return p->idle[--p->idle_count];
	easy = curl_easy_init();
	if (easy)
		set_lasting_options(easy, p);
	return easy;
}

static void give_handle(struct exchange_pool *p, CURL *easy, bool has_own_options)
{
	if (p->idle_count == p->idle_capacity) {
		curl_easy_cleanup(easy);
		return;
	}
	if (has_own_options) {
		curl_easy_reset(easy);
		set_lasting_options(easy, p);
	}
	p->idle[p->idle_count++] = easy;
}

/* ---------------------------------------------------------------------------------------------------- start */

static bool sends_body(const struct exchange *x)
{
	return !strcmp(x->wire.method, "PUT") || !strcmp(x->wire.method, "POST");
}

static int link_headers(struct exchange *x)
{
	size_t count = x->wire.header_count;

	x->headers = NULL;
	if (count == 0)
		return 0;
	x->headers = malloc(count * sizeof(*x->headers));
	if (!x->headers)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		x->headers[i].data = x->wire.headers[i];
		x->headers[i].next = i + 1 < count ? &x->headers[i + 1] : NULL;
	}
	return 0;
}

static long upload_buffer_bytes(const struct exchange *x)
{
	if (x->body_bytes >= LARGE_BODY_BYTES)
		return LARGE_UPLOAD_BUFFER_BYTES;
	return x->body_bytes >= SMALL_BODY_BYTES ? UPLOAD_BUFFER_BYTES : SMALL_UPLOAD_BUFFER_BYTES;
}

size_t exchange_memory_bytes(const struct exchange *x)
{
	size_t receive = x->receive_buffer_bytes ? x->receive_buffer_bytes : CURL_MAX_WRITE_SIZE;

	return receive + (x->body_bytes ? (size_t)upload_buffer_bytes(x) : 0);
}

static void set_options(struct exchange *x)
{
	CURL *easy = x->easy;
	const char *method = x->wire.method;

	curl_easy_setopt(easy, CURLOPT_URL, x->wire.url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(easy, CURLOPT_READDATA, x);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, x);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->detail);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
			 x->receive_buffer_bytes ? (long)x->receive_buffer_bytes : (long)CURL_MAX_WRITE_SIZE);
	if (x->request->bucket->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, x->request->bucket->ca_file);

	/* A POST goes out as an upload too, because libcurl's own POST would add a form's Content-Type. HTTPGET first:
	 * it undoes what the handle did before. */
	curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
	if (sends_body(x)) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body_bytes);
		curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, upload_buffer_bytes(x));
		if (strcmp(method, "PUT"))
			curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	} else if (!strcmp(method, "HEAD")) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(method, "GET")) {
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	}
}

static void release(struct exchange *x)
{
	if (x->easy) {
		curl_multi_remove_handle(x->pool->multi, x->easy);
		give_handle(x->pool, x->easy, x->request->bucket->ca_file != NULL);
		x->easy = NULL;
	}
	free(x->headers);
	x->headers = NULL;
	strbuf_free(&x->answer);
	wire_request_clear(&x->wire);
}

bool exchange_start(struct exchange *x, struct exchange_pool *pool)
{
	CURLMcode code;

	assert(!x->easy && x->wire.url);
	x->pool = pool;
	x->easy = take_handle(pool);
	if (!x->easy || link_headers(x) < 0)
		goto no_memory;
	set_options(x);
	code = curl_multi_add_handle(pool->multi, x->easy);
	if (code != CURLM_OK) {
		exchange_result_fail(x->request, S3_ERR_NO_MEMORY, curl_multi_strerror(code));
		release(x);
		return false;
	}
	pool->ready = true;
	return true;

no_memory:
	exchange_result_fail(x->request, S3_ERR_NO_MEMORY, "out of memory");
	release(x);
	return false;
}

/* --------------------------------------------------------------------------------------------------- finish */

static uint32_t round_trip_us(CURL *easy)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
		return 0;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_rtt;
}

static void measure(struct exchange *x)
{
	curl_off_t sent = 0, received = 0;
	long connects = 0;

	curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	curl_easy_getinfo(x->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
	x->body_sent_bytes = (uint64_t)sent;
	x->body_received_bytes = (uint64_t)received;
	x->new_connection = connects > 0;
	x->rtt_us = round_trip_us(x->easy);
}

void exchange_finish(struct exchange *x, CURLcode code)
{
	assert(x->easy);
	measure(x);
	if (x->answer.failed)
		exchange_result_fail(x->request, S3_ERR_NO_MEMORY, "out of memory");
	else if (x->violation)
		exchange_result_fail(x->request, S3_ERR_PROTOCOL, x->violation);
	else if (code == CURLE_OK || x->answer_suffices || (x->answer_complete && x->http_status >= 300))
		/* A server that refuses may hang up while it is still being sent to: its answer says more than the
		 * broken connection does. */
		wire_finish(x->request, x->http_status, x->answer.data ? x->answer.data : "", x->answer.len);
	else
		wire_fail(x->request, (int)code, x->detail);
	release(x);
}

void exchange_abort(struct exchange *x)
{
	if (!x->easy)
		return;
	measure(x);
	release(x);
}

/* -------------------------------------------------------------------------------------------- while it runs */

uint64_t exchange_moved_bytes(const struct exchange *x)
{
	curl_off_t sent = 0;

	if (!x->easy)
		return 0;
	curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	return x->received_bytes + (uint64_t)sent;
}

void exchange_pause_receive(struct exchange *x)
{
	x->receive_paused = true;
	curl_easy_pause(x->easy, CURLPAUSE_RECV);
}

void exchange_resume_receive(struct exchange *x)
{
	x->receive_paused = false;
	curl_easy_pause(x->easy, CURLPAUSE_CONT);
}

void exchange_resume_send(struct exchange *x)
{
	x->send_paused = false;
	curl_easy_pause(x->easy, CURLPAUSE_CONT);
}

void exchange_result_fail(struct s3_request *r, enum s3_error error, const char *why)
{
	r->result.error = error;
	wire_message(r, r->key, why, NULL);
}
