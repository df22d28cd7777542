/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Credentials: which source wins, how the AWS files are read, and what is refused. Each test has a home of its own. */
#include "s3/s3.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "s3/base/log.h"

#define SECRET "do-not-print-me"

static char home[] = "/tmp/test_credentials.XXXXXX";
static char err[512];

static const char *const variables[] = {
	"AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN",
	"AWS_PROFILE",
	"AWS_REGION",
	"AWS_DEFAULT_REGION",
	"AWS_ENDPOINT_URL_S3",
	"AWS_ENDPOINT_URL",
	"AWS_SHARED_CREDENTIALS_FILE",
	"AWS_CONFIG_FILE",
};

static const char *in_home(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", home, name);
	return path;
}

static void write_file(const char *name, mode_t mode, const char *text)
{
	int fd = open(in_home(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int home_setup(void **state)
{
	strcpy(home, "/tmp/test_credentials.XXXXXX");
	if (!mkdtemp(home) || mkdir(in_home(".aws"), 0700))
		return -1;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	setenv("HOME", home, 1);
	err[0] = '\0';
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

static int home_teardown(void **state)
{
	static const char *const files[] = {".aws/credentials", ".aws/config", "other"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(in_home(files[i]));
	rmdir(in_home(".aws"));
	return rmdir(home);
}

static void assert_loads(const char *profile, const char *id, const char *secret, const char *token, const char *region,
			 const char *endpoint)
{
	struct s3_credentials c;
	const char *want[] = {id, secret, token, region, endpoint};
	const char *got[5];

	memset(&c, 0xa5, sizeof(c));
	if (s3_credentials_load(&c, profile, err, sizeof(err)))
		fail_msg("%s", err);
	got[0] = c.access_key_id;
	got[1] = c.secret_access_key;
	got[2] = c.session_token;
	got[3] = c.region;
	got[4] = c.endpoint;
	for (int i = 0; i < 5; i++) {
		if (want[i]) {
			assert_non_null(got[i]);
			assert_string_equal(got[i], want[i]);
		} else {
			assert_null(got[i]);
		}
	}
	s3_credentials_clear(&c);
	assert_null(c.secret_access_key);
	s3_credentials_clear(&c);
}

static void assert_refused(const char *profile, const char *says)
{
	struct s3_credentials c;

	assert_int_equal(s3_credentials_load(&c, profile, err, sizeof(err)), -1);
	if (!strstr(err, says))
		fail_msg("\"%s\" does not say \"%s\"", err, says);
	assert_null(strstr(err, SECRET));
	assert_null(c.access_key_id);
	assert_null(c.secret_access_key);
	assert_null(c.region);
}

static void nothing_at_all_is_no_error(void **state)
{
	assert_loads(NULL, NULL, NULL, NULL, NULL, NULL);
	assert_loads("", NULL, NULL, NULL, NULL, NULL);
}

static void the_environment_comes_first(void **state)
{
	write_file(".aws/credentials", 0600,
		   "[default]\naws_access_key_id = FILE\naws_secret_access_key = f\n"
		   "aws_session_token = filetoken\n");
	write_file(".aws/config", 0644, "[default]\nregion = from-file\nendpoint_url = http://file\n");
	assert_loads(NULL, "FILE", "f", "filetoken", "from-file", "http://file");
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	/* The token of the file belongs to the pair of the file. */
	assert_loads(NULL, "ENV", "e", NULL, "from-file", "http://file");
	setenv("AWS_SESSION_TOKEN", "envtoken", 1);
	setenv("AWS_DEFAULT_REGION", "env-default", 1);
	setenv("AWS_ENDPOINT_URL", "http://env", 1);
	assert_loads(NULL, "ENV", "e", "envtoken", "env-default", "http://env");
	setenv("AWS_REGION", "env-region", 1);
	setenv("AWS_ENDPOINT_URL_S3", "http://env-s3", 1);
	assert_loads(NULL, "ENV", "e", "envtoken", "env-region", "http://env-s3");
	/* A profile that is asked for by name takes nothing from the environment. */
	assert_loads("default", "FILE", "f", "filetoken", "from-file", "http://file");
}

static void aws_profile_chooses_among_the_files(void **state)
{
	write_file(".aws/credentials", 0600,
		   "[default]\naws_access_key_id=D\naws_secret_access_key=d\n"
		   "[work]\naws_access_key_id=W\naws_secret_access_key=w\n");
	write_file(".aws/config", 0644, "[profile work]\nregion=eu-1\n[work]\nregion=wrong\n");
	assert_loads(NULL, "D", "d", NULL, NULL, NULL);
	setenv("AWS_PROFILE", "work", 1);
	assert_loads(NULL, "W", "w", NULL, "eu-1", NULL);
	assert_loads("default", "D", "d", NULL, NULL, NULL);
	setenv("AWS_PROFILE", "missing", 1);
	assert_refused(NULL, "profile \"missing\" is neither in ");
	assert_non_null(strstr(err, "/.aws/credentials nor in "));
}

static void keys_may_stand_in_the_config_file(void **state)
{
	write_file(".aws/config", 0600,
		   "[profile one]\naws_access_key_id=C\naws_secret_access_key=c\n"
		   "[profile \"two words\"]\nregion=r2\n[default]\nregion=rd\n");
	assert_loads("one", "C", "c", NULL, NULL, NULL);
	assert_loads("two words", NULL, NULL, NULL, "r2", NULL);
	assert_loads(NULL, NULL, NULL, NULL, "rd", NULL);
	write_file(".aws/credentials", 0600, "[one]\naws_access_key_id=K\naws_secret_access_key=k\n");
	assert_loads("one", "K", "k", NULL, NULL, NULL);
}

static void odd_but_legal_files_are_read(void **state)
{
	write_file(".aws/credentials", 0600,
		   "\xef\xbb\xbf# comment\r\n; another\r\n\r\n[ default ]\r\n"
		   "  AWS_Access_Key_Id=K\r\n"
		   "  aws_secret_access_key =  a+b/c=d#e  \r\n"
		   "  # comment\r\n"
		   "  s3 =\r\n"
		   "    aws_access_key_id = nested\r\n"
		   "    endpoint_url = http://nested\r\n"
		   "  region = r\r\n"
		   "not a setting\r\n"
		   "aws_session_token =\r\n"
		   "[other]\r\nregion = x");
	assert_loads(NULL, "K", "a+b/c=d#e", NULL, "r", NULL);
	assert_loads("other", NULL, NULL, NULL, "x", NULL);
}

static void a_long_session_token_is_not_cut(void **state)
{
	char token[3001], text[4096];

	for (size_t i = 0; i < sizeof(token) - 1; i++)
		token[i] = (char)('a' + i % 26);
	token[sizeof(token) - 1] = '\0';
	snprintf(text, sizeof(text), "[default]\naws_access_key_id=K\naws_secret_access_key=k\naws_session_token=%s\n",
		 token);
	write_file(".aws/credentials", 0600, text);
	assert_loads(NULL, "K", "k", token, NULL, NULL);
}

static void other_files_are_named_by_variables(void **state)
{
	write_file("other", 0600, "[default]\naws_access_key_id=O\naws_secret_access_key=o\n");
	setenv("AWS_SHARED_CREDENTIALS_FILE", in_home("other"), 1);
	assert_loads(NULL, "O", "o", NULL, NULL, NULL);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "~/other", 1);
	assert_loads(NULL, "O", "o", NULL, NULL, NULL);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "~/no/such/file", 1);
	setenv("AWS_CONFIG_FILE", "~/other", 1);
	assert_loads(NULL, "O", "o", NULL, NULL, NULL);
	setenv("AWS_CONFIG_FILE", "/", 1);
	assert_refused(NULL, "cannot read /: Is a directory");
}

static void half_a_key_pair_is_refused(void **state)
{
	write_file(".aws/credentials", 0600, "[id]\naws_access_key_id=K\n[secret]\naws_secret_access_key=" SECRET "\n");
	assert_refused("id", "has aws_access_key_id but no aws_secret_access_key");
	assert_refused("secret", "has aws_secret_access_key but no aws_access_key_id");
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	assert_refused(NULL, "AWS_SECRET_ACCESS_KEY is set in the environment but AWS_ACCESS_KEY_ID is not");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	setenv("AWS_ACCESS_KEY_ID", "K", 1);
	assert_refused(NULL, "AWS_ACCESS_KEY_ID is set in the environment but AWS_SECRET_ACCESS_KEY is not");
}

static void a_secret_that_others_may_read_is_refused(void **state)
{
	static const mode_t modes[] = {0644, 0640, 0604, 0620};
	char says[256];

	snprintf(says, sizeof(says), "chmod 600 %s", in_home(".aws/credentials"));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		write_file(".aws/credentials", modes[i],
			   "[default]\naws_access_key_id=K\naws_secret_access_key=" SECRET "\n[empty]\nregion=r\n");
		assert_refused(NULL, says);
		assert_refused("default", says);
		/* Only a secret that would be used matters. */
		assert_loads("empty", NULL, NULL, NULL, "r", NULL);
	}
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	assert_loads(NULL, "ENV", "e", NULL, NULL, NULL);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	write_file(".aws/credentials", 0400, "[default]\naws_access_key_id=K\naws_secret_access_key=k\n");
	assert_loads(NULL, "K", "k", NULL, NULL, NULL);
}

static void a_file_that_may_not_be_read_matters_only_when_it_is_needed(void **state)
{
	bool root = geteuid() == 0;

	write_file(".aws/credentials", 0600, "[default]\naws_access_key_id=K\naws_secret_access_key=k\n");
	assert_int_equal(chmod(in_home(".aws"), 0), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	assert_refused(NULL, "cannot read ");
	assert_non_null(strstr(err, "/.aws/credentials: Permission denied"));
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	assert_loads(NULL, "ENV", "e", NULL, NULL, NULL);
	assert_refused("default", "cannot read ");
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(in_home(".aws"), 0700), 0);
}

static void keys_from_elsewhere_are_refused_for_a_named_profile(void **state)
{
	write_file(".aws/config", 0600,
		   "[profile sso]\nsso_session = s\n[default]\nrole_arn = x\nregion = r\n"
		   "[profile both]\nrole_arn = x\naws_access_key_id=K\naws_secret_access_key=k\n");
	assert_refused("sso", "takes its keys from sso_session, which is not supported");
	assert_loads(NULL, NULL, NULL, NULL, "r", NULL);
	assert_loads("both", "K", "k", NULL, NULL, NULL);
}

static void an_unset_home_is_looked_up(void **state)
{
	struct s3_credentials c;

	unsetenv("HOME");
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
	assert_int_equal(s3_credentials_load(&c, "no-such-profile-anywhere", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "/.aws/config"));
}

#define test(f) cmocka_unit_test_setup_teardown(f, home_setup, home_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(nothing_at_all_is_no_error),
		test(the_environment_comes_first),
		test(aws_profile_chooses_among_the_files),
		test(keys_may_stand_in_the_config_file),
		test(odd_but_legal_files_are_read),
		test(a_long_session_token_is_not_cut),
		test(other_files_are_named_by_variables),
		test(half_a_key_pair_is_refused),
		test(a_secret_that_others_may_read_is_refused),
		test(a_file_that_may_not_be_read_matters_only_when_it_is_needed),
		test(keys_from_elsewhere_are_refused_for_a_named_profile),
		test(an_unset_home_is_looked_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
