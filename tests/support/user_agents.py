"""What programs and the apps and browsers of readers call themselves."""

BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0)",
    "facebookexternalhit/1.1",
    "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/140.0 Safari/537.36",
    "Pingdom.com_bot_version_1.4",
    "python-requests/2.32",
    "curl/8.5.0",
)
READERS = (
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    "Mozilla/5.0 (Linux; Android 14; CUBOT X18) Chrome/140.0 Mobile Safari/537.36",
    "Summaries/5.2 CFNetwork/1568 Darwin/24.0",
    "okhttp/4.12.0",
    "Dalvik/2.1.0 (Linux; U; Android 15)",
)
