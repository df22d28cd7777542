/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Credentials as the AWS tools find them: the environment, then a profile in two INI files.
 *
 * The files are read by hand, because libinih as distributions build it cuts a value after 200 bytes, and a session
 * token is longer; and because here the buffer that held the secrets can be wiped. */
#include "s3/s3.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "s3/base/cleanup.h"
#include "s3/base/log.h"
#include "s3/base/strbuf.h"

/* A file of credentials has a few KiB; this only bounds what a wrong path can do. */
#define FILE_MAX_BYTES ((size_t)1 << 20)

struct sentence {
	char *text;
	size_t size;
};

/* What one file says about one profile. Values point into TEXT. */
struct profile {
	char *path;
	char *text; /* NULL: there is no such file */
	size_t text_bytes;
	mode_t mode;
	bool forbidden; /* the file is there, but not for us */
	bool found;
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;
	const char *region;
	const char *endpoint;
	const char *dynamic; /* a setting by which keys are to be fetched from elsewhere */
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct sentence *err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(err->text, err->size, fmt, args);
	va_end(args);
	return -1;
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static void secret_free(char *s)
{
	if (s)
		OPENSSL_cleanse(s, strlen(s));
	free(s);
}

static void profile_clear(struct profile *p)
{
	if (p->text)
		OPENSSL_cleanse(p->text, p->text_bytes);
	free(p->text);
	free(p->path);
}

/* -------------------------------------------------------------------------------------------------- files */

/* A file in the home directory, unless VARIABLE names another. NULL: out of memory, or no home is known. */
static char *file_path(const char *variable, const char *in_home)
{
	CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
	const char *given = env(variable), *home;

	if (given && strncmp(given, "~/", 2) != 0)
		return strdup(given);
	home = env("HOME");
	if (!home) {
		const struct passwd *pw = getpwuid(geteuid());

		home = pw ? pw->pw_dir : NULL;
	}
	if (!home)
		return NULL;
	strbuf_addf(&path, "%s/%s", home, given ? given + 2 : in_home);
	return strbuf_detach(&path);
}

/* The whole file with a NUL behind it. A file that does not exist, or may not be read, leaves TEXT NULL. */
static int profile_read(struct profile *p, const struct sentence *err)
{
	CLEANUP_CLOSE int fd = open(p->path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 && errno == EACCES) {
		p->forbidden = true;
		return 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return refuse(err, "cannot read %s: %s", p->path, strerror(errno));
	p->mode = st.st_mode;
	p->text = malloc(FILE_MAX_BYTES + 1);
	if (!p->text)
		return refuse(err, "out of memory");
	while (p->text_bytes < FILE_MAX_BYTES) {
		ssize_t n = read(fd, p->text + p->text_bytes, FILE_MAX_BYTES - p->text_bytes);

		if (n == 0)
			break;
		if (n > 0)
			p->text_bytes += (size_t)n;
		else if (errno != EINTR)
			return refuse(err, "cannot read %s: %s", p->path, strerror(errno));
	}
	if (p->text_bytes == FILE_MAX_BYTES)
		return refuse(err, "%s is too large to be a file of credentials or settings", p->path);
	p->text[p->text_bytes] = '\0';
	return 0;
}

/* In place: without white space at both ends. */
static char *trim(char *s)
{
	size_t len;

	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		len--;
	s[len] = '\0';
	return s;
}

/* Does the section header at LINE ("[profile NAME]", "[NAME]" in a file of credentials) begin the profile? */
static bool section_is(char *line, const char *name, bool config_file)
{
	char *end = strchr(line, ']');
	char *section;
	size_t len;

	if (!end)
		return false;
	*end = '\0';
	section = trim(line + 1);
	if (!config_file)
		return !strcmp(section, name);
	if (!strcmp(section, "default"))
		return !strcmp(name, "default");
	if (strncmp(section, "profile", 7) || !isspace((unsigned char)section[7]))
		return false;
	section = trim(section + 7);
	len = strlen(section);
	if (len >= 2 && (section[0] == '"' || section[0] == '\'') && section[len - 1] == section[0]) {
		section[len - 1] = '\0';
		section++;
	}
	return !strcmp(section, name);
}

static void profile_setting(struct profile *p, const char *name, const char *value)
{
	static const char *const dynamic[] = {
		"credential_process", "credential_source", "login_session",           "role_arn",
		"sso_session",        "sso_start_url",     "web_identity_token_file",
	};
	const char **field = NULL;

	if (!strcasecmp(name, "aws_access_key_id"))
		field = &p->access_key_id;
	else if (!strcasecmp(name, "aws_secret_access_key"))
		field = &p->secret_access_key;
	else if (!strcasecmp(name, "aws_session_token"))
		field = &p->session_token;
	else if (!strcasecmp(name, "region"))
		field = &p->region;
	else if (!strcasecmp(name, "endpoint_url"))
		field = &p->endpoint;
	if (field)
		*field = *value ? value : NULL;
	for (size_t i = 0; i < sizeof(dynamic) / sizeof(dynamic[0]); i++) {
		if (!strcasecmp(name, dynamic[i]))
			p->dynamic = dynamic[i];
	}
}

/* Settings that are indented deeper than the one before belong to it ("s3 =", then its own lines), not to the
 * profile. */
static void profile_parse(struct profile *p, const char *name, bool config_file)
{
	char *next = p->text, *line;
	size_t setting_indent = 0;
	bool inside = false, had_setting = false;
	unsigned number = 0;

	if (p->text_bytes >= 3 && !memcmp(next, "\xef\xbb\xbf", 3))
		next += 3;
	while ((line = strsep(&next, "\n"))) {
		size_t indent = strspn(line, " \t");
		char *text = trim(line), *equals;

		number++;
		if (!*text || *text == '#' || *text == ';')
			continue;
		if (*text == '[') {
			inside = section_is(text, name, config_file);
			p->found |= inside;
			had_setting = false;
			continue;
		}
		if (!inside || (had_setting && indent > setting_indent))
			continue;
		equals = strchr(text, '=');
		if (!equals) {
			log_warn("%s, line %u is not \"name = value\": ignored", p->path, number);
			continue;
		}
		*equals = '\0';
		profile_setting(p, trim(text), trim(equals + 1));
		setting_indent = indent;
		had_setting = true;
	}
}

static int profile_load(struct profile *p, const char *variable, const char *in_home, const char *name,
			bool config_file, const struct sentence *err)
{
	p->path = file_path(variable, in_home);
	if (!p->path)
		return 0;
	if (profile_read(p, err) < 0)
		return -1;
	if (p->text)
		profile_parse(p, name, config_file);
	return 0;
}

/* -------------------------------------------------------------------------------------------- the decision */

static int copy(char **to, const char *from, const struct sentence *err)
{
	if (!from || *to)
		return 0;
	*to = strdup(from);
	return *to ? 0 : refuse(err, "out of memory");
}

/* A key pair and its token come from one place: halves of two places would be a pair that nobody issued. */
static int take_keys(struct s3_credentials *c, const char *id, const char *secret, const char *token,
		     const struct sentence *err)
{
	if (copy(&c->access_key_id, id, err) || copy(&c->secret_access_key, secret, err))
		return -1;
	return copy(&c->session_token, token, err);
}

static int take_environment(struct s3_credentials *c, const struct sentence *err)
{
	const char *id = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY");
	const char *region = env("AWS_REGION"), *endpoint = env("AWS_ENDPOINT_URL_S3");

	if (!id != !secret)
		return refuse(err, "%s is set in the environment but %s is not; set both or neither",
			      id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			      id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (id && take_keys(c, id, secret, env("AWS_SESSION_TOKEN"), err))
		return -1;
	if (copy(&c->region, region ? region : env("AWS_DEFAULT_REGION"), err))
		return -1;
	return copy(&c->endpoint, endpoint ? endpoint : env("AWS_ENDPOINT_URL"), err);
}

static int take_profile(struct s3_credentials *c, const struct profile *p, const char *name, const struct sentence *err)
{
	const char *id = p->access_key_id, *secret = p->secret_access_key;

	if (copy(&c->region, p->region, err) || copy(&c->endpoint, p->endpoint, err))
		return -1;
	if (c->access_key_id || (!id && !secret))
		return 0;
	if (!id || !secret)
		return refuse(err, "profile \"%s\" in %s has %s but no %s", name, p->path,
			      id ? "aws_access_key_id" : "aws_secret_access_key",
			      id ? "aws_secret_access_key" : "aws_access_key_id");
	if (p->mode & 077)
		return refuse(err, "%s holds a secret access key and other users may read it; run: chmod 600 %s",
			      p->path, p->path);
	return take_keys(c, id, secret, p->session_token, err);
}

/* Keys that a role, a single sign-on or a program would have to deliver: said clearly, or every request would go out
 * unsigned and be refused without a reason. */
static int refuse_dynamic(const char *setting, const char *name, bool named, const struct sentence *err)
{
	if (!named) {
		log_warn("profile \"%s\" takes its keys from %s, which is not supported: requests go unsigned", name,
			 setting);
		return 0;
	}
	return refuse(err,
		      "profile \"%s\" takes its keys from %s, which is not supported; put the output of "
		      "\"aws configure export-credentials\" into the environment or into a profile",
		      name, setting);
}

static int load_files(struct s3_credentials *c, const char *name, bool named, const struct sentence *err)
{
	struct profile credentials = {0}, config = {0};
	int result = -1;

	if (profile_load(&credentials, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", name, false, err) ||
	    profile_load(&config, "AWS_CONFIG_FILE", ".aws/config", name, true, err))
		goto out;
	/* Who has keys from the environment needs no files: a service often has a home directory it may not enter. */
	if ((named || !c->access_key_id) && (credentials.forbidden || config.forbidden)) {
		refuse(err, "cannot read %s: %s", credentials.forbidden ? credentials.path : config.path,
		       strerror(EACCES));
		goto out;
	}
	if (named && !credentials.found && !config.found) {
		refuse(err, "profile \"%s\" is neither in %s nor in %s", name,
		       credentials.path ? credentials.path : "~/.aws/credentials",
		       config.path ? config.path : "~/.aws/config");
		goto out;
	}
	/* Settings belong into the configuration, keys into the credentials: each has the first word there. */
	if (copy(&c->region, config.region, err) || copy(&c->endpoint, config.endpoint, err) ||
	    take_profile(c, &credentials, name, err) || take_profile(c, &config, name, err))
		goto out;
	result = 0;
	if (!c->access_key_id && (credentials.dynamic || config.dynamic))
		result = refuse_dynamic(config.dynamic ? config.dynamic : credentials.dynamic, name, named, err);
out:
	profile_clear(&credentials);
	profile_clear(&config);
	return result;
}

int s3_credentials_load(struct s3_credentials *c, const char *profile, char *err, size_t err_size)
{
	struct sentence sentence = {.text = err, .size = err_size};
	const char *name = profile && *profile ? profile : NULL;
	bool named = name != NULL;
	int result = 0;

	*c = (struct s3_credentials){0};
	if (!name) {
		result = take_environment(c, &sentence);
		name = env("AWS_PROFILE");
		named = name != NULL;
	}
	if (!result)
		result = load_files(c, named ? name : "default", named, &sentence);
	if (result)
		s3_credentials_clear(c);
	return result;
}

void s3_credentials_clear(struct s3_credentials *c)
{
	secret_free(c->access_key_id);
	secret_free(c->secret_access_key);
	secret_free(c->session_token);
	free(c->region);
	free(c->endpoint);
	*c = (struct s3_credentials){0};
}
