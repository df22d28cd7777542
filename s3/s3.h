/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The room that talks: everything about HTTP and S3, and nothing about why.
 *
 * A caller describes one S3 operation in a struct s3_request and submits it to a backend. The backend owns the request
 * from submit() until poll() hands it back, finished, exactly once. The real backend (s3_client_new) moves bytes on its
 * own transfer threads; tests put a fake with a virtual clock behind the same vtable.
 *
 * No retry is made here: a request is one attempt, and its result says what class of error ended it. Deciding is
 * sched/'s business. */
#ifndef S3B_S3_H
#define S3B_S3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* ------------------------------------------------------------------------------------------------ errors */

/* Error classes. One table (error.c) maps HTTP status, S3 <Code> and CURLcode to a class; errors that arrive inside a
 * 200 answer (CopyObject, UploadPartCopy, CompleteMultipartUpload) are errors like any other. */
enum s3_error {
	S3_OK = 0,
	S3_ERR_CANCELLED,    /* s3_backend_ops.cancel */
	S3_ERR_NOT_FOUND,    /* the key (or version) does not exist */
	S3_ERR_NO_BUCKET,    /* NoSuchBucket */
	S3_ERR_NO_UPLOAD,    /* NoSuchUpload */
	S3_ERR_ACCESS,       /* AccessDenied, 403 */
	S3_ERR_CREDENTIALS,  /* InvalidAccessKeyId, SignatureDoesNotMatch, ExpiredToken */
	S3_ERR_CLOCK,        /* RequestTimeTooSkewed */
	S3_ERR_PRECONDITION, /* 412: the object is not (or no longer) the one that was meant */
	S3_ERR_CONFLICT,     /* 409 */
	S3_ERR_REGION,       /* 301/307 or AuthorizationHeaderMalformed: the bucket lives elsewhere */
	S3_ERR_RANGE,        /* 416 */
	S3_ERR_TOO_LARGE,    /* EntityTooLarge, KeyTooLongError, MetadataTooLarge */
	S3_ERR_INVALID,      /* any other 400 */
	S3_ERR_UNSUPPORTED,  /* 501, 405, NotImplemented */
	S3_ERR_THROTTLED,    /* 503, 429, SlowDown: retryable */
	S3_ERR_SERVER,       /* 500, 502, 504, InternalError: retryable */
	S3_ERR_NAME,         /* the host name does not resolve: retryable */
	S3_ERR_CONNECT,      /* refused, unreachable: retryable */
	S3_ERR_TLS,          /* certificate or handshake */
	S3_ERR_NETWORK,      /* reset, closed early: retryable */
	S3_ERR_TIMEOUT,      /* no byte moved for too long: retryable */
	S3_ERR_PROTOCOL,     /* an answer that is no S3 (bad XML, lying lengths): retryable */
	S3_ERR_CORRUPT,      /* bytes differ from what the other end says: retryable */
	S3_ERR_NO_MEMORY,
	S3_ERR__COUNT,
};

const char *s3_error_name(enum s3_error e);   /* "not found", "refused connection", ... for sentences */
bool s3_error_is_retryable(enum s3_error e);
int s3_error_errno(enum s3_error e);          /* the errno a program would expect; 0 for S3_OK */

/* ----------------------------------------------------------------------------------------------- buckets */

/* Where and as whom. Every string is copied; NULL means "not set". */
struct s3_bucket_config {
	const char *name;              /* what messages call it: the directory name in the mount */
	const char *bucket;            /* required */
	const char *endpoint;          /* "http(s)://host[:port][/base]"; NULL: https://s3.<region>.amazonaws.com */
	const char *region;            /* NULL: us-east-1 */
	const char *access_key_id;     /* NULL with secret NULL: unsigned (anonymous) requests */
	const char *secret_access_key;
	const char *session_token;
	const char *ca_file;           /* PEM file instead of the system's certificates */
	int path_style;                /* 1 path style, 0 virtual-host style, -1 automatic: virtual only for amazonaws.com
	                                  and when the bucket name is a valid DNS label without dots */
};

/* Immutable after creation, so any thread may read it. Requests borrow it: it outlives every request. */
struct s3_bucket;

/* NULL on a bad value, with one sentence in ERR that names it. */
struct s3_bucket *s3_bucket_new(const struct s3_bucket_config *config, char *err, size_t err_size);
void s3_bucket_free(struct s3_bucket *b);
const char *s3_bucket_label(const struct s3_bucket *b);    /* config.name */
const char *s3_bucket_name(const struct s3_bucket *b);     /* the S3 bucket */
const char *s3_bucket_endpoint(const struct s3_bucket *b); /* "https://host:port" */
/* Can the server copy between the two by itself: same endpoint, region and access key. */
bool s3_bucket_same_account(const struct s3_bucket *a, const struct s3_bucket *b);

/* Credentials as the AWS tools find them. All strings owned by the struct. */
struct s3_credentials {
	char *access_key_id;
	char *secret_access_key;
	char *session_token; /* may be NULL */
	char *region;        /* from the profile or the environment; may be NULL */
	char *endpoint;      /* endpoint_url of the profile, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL; may be NULL */
};

/* PROFILE NULL: AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY/AWS_SESSION_TOKEN first, then AWS_PROFILE or "default" in
 * AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config). PROFILE set: only the files.
 * 0, or -1 with one sentence in ERR (a profile that was named and does not exist; half a key pair; a file with secrets
 * that others may read). Finding nothing at all is no error: every field stays NULL. */
int s3_credentials_load(struct s3_credentials *c, const char *profile, char *err, size_t err_size);
void s3_credentials_clear(struct s3_credentials *c); /* wipes the secrets, frees */

/* ---------------------------------------------------------------------------------------------- requests */

enum s3_op {
	S3_OP_HEAD_BUCKET,
	S3_OP_LIST,            /* ListObjectsV2 */
	S3_OP_HEAD,
	S3_OP_GET,             /* whole or ranged, into on_data */
	S3_OP_PUT,             /* body from segments */
	S3_OP_COPY,            /* CopyObject */
	S3_OP_DELETE,
	S3_OP_DELETE_MANY,     /* DeleteObjects, at most 1000 keys */
	S3_OP_UPLOAD_CREATE,   /* CreateMultipartUpload */
	S3_OP_UPLOAD_PART,     /* body from segments */
	S3_OP_UPLOAD_PART_COPY,
	S3_OP_UPLOAD_COMPLETE,
	S3_OP_UPLOAD_ABORT,
	S3_OP_LIST_PARTS,
	S3_OP_LIST_UPLOADS,
	S3_OP__COUNT,
};

const char *s3_op_name(enum s3_op op); /* the S3 API's own name */

/* Header fields that belong to an object: Content-Type, Cache-Control, ..., x-amz-meta-*, x-amz-storage-class.
 * Names are lower case. Owned by the struct. */
struct s3_header {
	char *name;
	char *value;
};
struct s3_headers {
	struct s3_header *items;
	size_t count;
	size_t capacity;
};
int s3_headers_set(struct s3_headers *h, const char *name, const char *value); /* replaces; value NULL removes; 0 or -ENOMEM */
const char *s3_headers_get(const struct s3_headers *h, const char *name);      /* NULL: absent; name in lower case */
int s3_headers_copy(struct s3_headers *to, const struct s3_headers *from);     /* TO is cleared first; 0 or -ENOMEM */
void s3_headers_clear(struct s3_headers *h);

/* A body is a list of segments, streamed one after the other. OBJECT segments are ranged GETs (If-Match) whose bytes
 * pass through a ring of at most S3_RING_BYTES into the PUT; GET and PUT run on the same transfer thread. The PUT is
 * sent only when the first GET has answered well, so a bad source never touches the destination. */
#define S3_RING_BYTES ((size_t)1 << 20)

enum s3_segment_kind {
	S3_SEGMENT_MEMORY,
	S3_SEGMENT_ZERO,
	S3_SEGMENT_OBJECT,
};
struct s3_segment {
	enum s3_segment_kind kind;
	uint64_t length_bytes;
	const void *memory;                  /* MEMORY: borrowed; stays valid until the request comes back */
	const struct s3_bucket *src_bucket;  /* OBJECT: borrowed likewise, and so are key and etag */
	const char *src_key;
	const char *src_etag;                /* sent as If-Match */
	uint64_t src_offset_bytes;
};

struct s3_part {
	uint32_t number;     /* 1..10000 */
	uint64_t size_bytes; /* LIST_PARTS only */
	char etag[96];       /* with its quotes, as the server gave it */
};

struct s3_list_entry {
	char *key;           /* decoded; owned. For a common prefix: the prefix, with its slash */
	bool is_prefix;
	uint64_t size_bytes;
	struct timespec last_modified;
	char etag[96];
	char *upload_id;     /* LIST_UPLOADS; owned */
};

/* What came back. Strings and arrays are owned by the request and freed with it. */
struct s3_result {
	enum s3_error error;
	bool source_failed;       /* the GET side of a relay failed, not the destination */
	int http_status;          /* 0: no answer */
	char code[64];            /* S3 <Code>, "" when none */
	char message[448];        /* one sentence for people, always set on error: what failed, where, why; no secrets */
	int64_t retry_after_ms;   /* from Retry-After, -1: none */
	char bucket_region[64];   /* x-amz-bucket-region, "" when none */

	char etag[96];            /* with quotes */
	uint64_t size_bytes;      /* HEAD: Content-Length; GET: size of the whole object */
	struct timespec last_modified;
	struct s3_headers headers; /* HEAD, GET: the object's own header fields */

	char *upload_id;          /* UPLOAD_CREATE */
	struct s3_list_entry *entries; /* LIST, LIST_UPLOADS: keys and common prefixes in the server's order */
	size_t entry_count;
	struct s3_part *parts;    /* LIST_PARTS */
	size_t part_count;
	char *next_token;         /* continuation; NULL: this was the last page. LIST_PARTS: next part-number-marker.
	                             LIST_UPLOADS: "key-marker\nupload-id-marker" */

	/* Measurements of this attempt, for sched/'s network monitor. */
	int64_t started_us, first_byte_us, finished_us; /* clock_monotonic_us; first_byte 0: none */
	uint64_t sent_bytes, received_bytes;            /* body bytes on the wire */
	uint32_t rtt_us;                                /* TCP_INFO of the (destination) connection, 0: unknown */
	bool new_connection;
	uint64_t memory_bytes;                          /* a relay: what its ring held at most, and its buffers; else 0 */

	/* Private to s3/: what the header lines promised, kept until the answer is whole. */
	struct {
		uint32_t line_count, line_bytes;        /* against answers without bounds */
		bool has_length, has_range;
		uint64_t length_bytes;                  /* Content-Length */
		uint64_t range_first, range_last;       /* Content-Range */
		uint64_t range_total_bytes;
		time_t date, retry_after_date;          /* 0: none */
		enum s3_error error;                    /* why wire_header_line gave up; S3_OK: it did not */
	} wire;
};

struct s3_request {
	enum s3_op op;
	const struct s3_bucket *bucket; /* borrowed */
	char *key;                      /* owned; NULL where the operation has none */

	/* LIST, LIST_UPLOADS */
	char *prefix;    /* owned */
	char *delimiter; /* owned */
	char *token;     /* owned; s3_result.next_token of the page before */
	uint32_t max_keys; /* 0: the server's default (1000) */

	/* GET */
	uint64_t offset_bytes;
	uint64_t length_bytes;    /* GET: 0 means to the end */
	/* Bytes in order, on the transfer thread; LEN at most 16 KiB. Not called after cancel has been seen. */
	void (*on_data)(void *arg, const void *data, size_t len);
	void *on_data_arg;
	uint64_t delivered_bytes; /* how much on_data got in this attempt: a retry may go on behind it */

	/* Preconditions; owned; NULL: none */
	char *if_match;      /* GET, HEAD; PUT and COMPLETE where the server supports it */
	char *if_none_match; /* "*" on PUT and COMPLETE */

	/* PUT, UPLOAD_PART */
	struct s3_segment *segments; /* the array is owned, what it points to is borrowed */
	size_t segment_count;
	size_t ring_bytes;           /* 0: S3_RING_BYTES or the body's size, whichever is smaller */

	/* PUT, UPLOAD_CREATE; COPY with REPLACE_HEADERS */
	struct s3_headers headers;

	/* COPY, UPLOAD_PART_COPY */
	const struct s3_bucket *src_bucket;
	char *src_key;               /* owned */
	char *src_etag;              /* owned; x-amz-copy-source-if-match */
	uint64_t src_offset_bytes;   /* UPLOAD_PART_COPY: range src_offset_bytes, length_bytes */
	bool replace_headers;        /* COPY: x-amz-metadata-directive REPLACE with HEADERS; else COPY */

	/* multipart */
	char *upload_id;             /* owned */
	uint32_t part_number;
	struct s3_part *parts;       /* COMPLETE; owned, in ascending order */
	size_t part_count;

	/* DELETE_MANY */
	char **keys;                 /* owned, each and the array */
	size_t key_count;

	int64_t stall_timeout_ms;    /* no byte moved for so long ends the attempt; 0: the client's default */
	/* GET, HEAD, and bodies with OBJECT segments: no byte of the answer (of the first source's) for so long after the
	 * start ends the attempt with S3_ERR_TIMEOUT; 0: the one above does. Looked at about once a second. */
	int64_t first_byte_timeout_ms;
	/* Requests that ask for the same may run at once when they share a race, NULL at first, which outlives them: the
	 * first to get a byte of the object (of the source, where the body has OBJECT segments) takes it, and every other
	 * ends with S3_ERR_CANCELLED before a byte of it was delivered or the destination was asked. NULL: no race. */
	_Atomic(struct s3_request *) *race;

	void *user;                  /* the submitter's; s3/ does not look at it */
	struct s3_result result;

	void *backend_private;       /* the backend's while it owns the request */
	struct s3_request *next;     /* link for whoever owns the request */
};

/* KEY may be NULL; copied. NULL when out of memory. */
struct s3_request *s3_request_new(enum s3_op op, const struct s3_bucket *bucket, const char *key);
void s3_request_free(struct s3_request *r);    /* NULL is allowed */
void s3_request_rearm(struct s3_request *r);   /* clears the result so that it can be submitted again */
/* A request that asks for what R asks for, and borrows what R borrows; HEAD, GET, LIST, PUT, UPLOAD_PART. R may be in
 * flight. NULL when out of memory. */
struct s3_request *s3_request_clone(const struct s3_request *r);
/* Takes R's race, for the backend: false when another has it. */
bool s3_request_wins(struct s3_request *r);
uint64_t s3_request_body_bytes(const struct s3_request *r);
/* DELETE_MANY sends keys in XML, which cannot carry control characters or bytes that are not UTF-8: a key for which this
 * is false needs a DELETE of its own. */
bool s3_key_fits_xml(const char *key);

/* ----------------------------------------------------------------------------------------------- backend */

struct s3_backend;

struct s3_backend_ops {
	/* Ownership of R moves to the backend; it comes back from poll(), finished, also when it failed at once.
	 * Called on the scheduler thread; does not block. */
	void (*submit)(struct s3_backend *be, struct s3_request *r);
	/* Asks that R end soon. R still comes back from poll(), with S3_ERR_CANCELLED or with what happened first.
	 * Only for requests that have been submitted and not yet polled. Scheduler thread. */
	void (*cancel)(struct s3_backend *be, struct s3_request *r);
	/* Waits until a request has finished, wake() was called or TIMEOUT_MS passed (-1: for ever; 0: do not wait),
	 * then stores up to MAX finished requests, which belong to the caller again. Returns how many. Scheduler thread. */
	size_t (*poll)(struct s3_backend *be, struct s3_request **done, size_t max, int64_t timeout_ms);
	/* Makes a waiting (or the next) poll() return. Any thread. */
	void (*wake)(struct s3_backend *be);
	/* The clock the backend lives by: monotonic, or virtual. Any thread. */
	int64_t (*now_ms)(struct s3_backend *be);
	/* Ends threads and connections. Nothing may be in flight. */
	void (*destroy)(struct s3_backend *be);
};

struct s3_backend {
	const struct s3_backend_ops *ops;
};

struct s3_client_options {
	unsigned threads;              /* 0: one per two processors, at most 4 */
	unsigned max_connections;      /* kept open per thread; 0: 512 */
	int64_t connect_timeout_ms;    /* 0: 10 s */
	int64_t stall_timeout_ms;      /* 0: 60 s */
	const char *user_agent;        /* NULL: "s3bridge/VERSION" */
};

/* The real one: libcurl on transfer threads. NULL with a sentence in ERR. */
struct s3_backend *s3_client_new(const struct s3_client_options *options, char *err, size_t err_size);

#endif
