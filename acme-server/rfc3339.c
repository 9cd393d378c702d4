#include "acme-server/rfc3339.h"

#include <stdbool.h>
#include <stddef.h>

/* Exactly n digits. */
static bool digits(const char **p, size_t n, int *out)
{
    int value = 0;

    for (size_t i = 0; i < n; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    *p += n;
    *out = value;
    return true;
}

static bool skip(const char **p, const char *any_of)
{
    for (; *any_of != '\0'; any_of++) {
        if (**p == *any_of) {
            *p += 1;
            return true;
        }
    }
    return false;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return DAYS[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

static int64_t days_since_1970(int year, int month, int day)
{
    int64_t days = day - 1;

    for (int m = 1; m < month; m++) {
        days += month_days(year, m);
    }
    int64_t before = year - 1; /* whole years since year 1 */
    return days + before * 365 + before / 4 - before / 100 + before / 400 - 719162;
}

static bool date(const char **p, int64_t *out)
{
    int year = 0;
    int month = 0;
    int day = 0;

    if (!digits(p, 4, &year) || !skip(p, "-") || !digits(p, 2, &month) || !skip(p, "-") ||
        !digits(p, 2, &day) || year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > month_days(year, month)) {
        return false;
    }
    *out = days_since_1970(year, month, day) * 86400;
    return true;
}

static bool clock_time(const char **p, int64_t *out)
{
    int hour = 0;
    int minute = 0;
    int second = 0;
    int one = 0;

    if (!digits(p, 2, &hour) || !skip(p, ":") || !digits(p, 2, &minute) || !skip(p, ":") ||
        !digits(p, 2, &second) || hour > 23 || minute > 59 || second > 59) {
        return false;
    }
    *out = hour * 3600 + minute * 60 + second;
    if (!skip(p, ".")) {
        return true;
    }
    if (!digits(p, 1, &one)) {
        return false;
    }
    while (digits(p, 1, &one)) {
    }
    return true;
}

static bool offset(const char **p, int64_t *out)
{
    int hour = 0;
    int minute = 0;
    bool is_minus = **p == '-';

    *out = 0;
    if (skip(p, "Zz")) {
        return true;
    }
    if (!skip(p, "+-") || !digits(p, 2, &hour) || !skip(p, ":") || !digits(p, 2, &minute) ||
        hour > 23 || minute > 59) {
        return false;
    }
    int64_t seconds = hour * 3600 + minute * 60;
    *out = is_minus ? -seconds : seconds;
    return true;
}

struct err rfc3339_parse(const char *text, int64_t *out_unix)
{
    const char *p = text;
    int64_t day = 0;
    int64_t second = 0;
    int64_t zone = 0;

    if (!date(&p, &day) || !skip(&p, "Tt") || !clock_time(&p, &second) || !offset(&p, &zone) ||
        *p != '\0') {
        FAIL(ERR_MALFORMED, "not an RFC 3339 time");
    }
    *out_unix = day + second - zone;
    return err_ok();
}
