// What went wrong with a call, in words for an operator.
import { ApiError } from "./api.js";
import { t } from "./words.js";

const FORBIDDEN = 403;
const CONFLICT = 409;
const TOO_MANY = 429;
const UNAVAILABLE = 503;

/** @param {unknown} error */
export function explain(error) {
  if (!(error instanceof ApiError)) return String(error);
  switch (error.status) {
    case 0:
      return t("error.unreachable");
    case FORBIDDEN:
      return t("error.forbidden");
    case CONFLICT:
      return `${t("error.conflict")} (${error.message})`;
    case TOO_MANY:
      return t("error.too_many", { n: error.retryAfter_s || 1 });
    case UNAVAILABLE:
      return t("error.unavailable");
    default:
      return error.message;
  }
}
