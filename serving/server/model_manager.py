"""Loads and unloads the versions of models.

A version is a numbered folder with `saved_model.pb` in a model's base path. The policy's versions are loaded. Another
version is unloaded when one of the policy's versions is available and its own last request is answered. A version that fails
to load has no effect on loaded versions.
"""

import collections
import contextlib
import logging
import re
import threading
import time

import grpc
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfgen_serving.errors import ServingError
from tfgen_serving.server.flags import PLATFORM, Stopped
from tfgen_serving.server.repeated_warning import RepeatedWarning
from tfgen_serving.server.servable import as_serving_error

State = get_model_status_pb2.ModelVersionStatus
OK = (grpc.StatusCode.OK, "")
LOAD_THREADS = 4
MAX_ENDED = 100  # number of versions in state END that are kept for each model
_log = logging.getLogger("tfgen.serving")
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


class _Version:
    def __init__(self, model, number, path, stamp):
        self.model, self.number, self.path, self.stamp = model, number, path, stamp
        self.state, self.status = State.START, OK
        self.servable = None
        self.wanted = True
        self.uses = 0
        self.cancelled = threading.Event()

    def __str__(self):
        return f"{{name: {self.model} version: {self.number}}}"


class _Model:
    def __init__(self):
        self.config = None  # ModelConfig, or None if it is no longer configured
        self.scanned = False
        self.versions = {}
        self.ended = collections.OrderedDict()  # number -> status of unloaded versions
        self.missing = RepeatedWarning()


class ModelManager:
    """The models of one server. Thread-safe.

    Args:
        load: function (name, version, path) -> Servable; raises ServingError.
        poll_wait: seconds between searches in the base paths; 0: only when the configuration changes.
        max_load_retries, retry_interval: for a version that fails to load; the interval is in seconds.
        allow_labels_for_unavailable: whether a new label may refer to a version that is not loaded.
    """

    def __init__(self, load, *, poll_wait=1.0, max_load_retries=5, retry_interval=60.0, allow_labels_for_unavailable=False):
        self._load_servable = load
        self._poll_wait, self._retries, self._interval = poll_wait, max_load_retries, retry_interval
        self._allow_labels = allow_labels_for_unavailable
        self._changed = threading.Condition(threading.RLock())
        self._models = {}
        self._labels, self._paths = {}, {}
        self._reloading, self._polling = threading.Lock(), threading.Lock()
        self._load_slots = threading.Semaphore(LOAD_THREADS)
        self._stop, self._waits_end = threading.Event(), threading.Event()
        self._poller = None

    # ---- requests

    @contextlib.contextmanager
    def acquire(self, spec):
        """A context with the servable of a ModelSpec, which stays loaded until the context ends.

        Raises:
            ServingError: INVALID_ARGUMENT for a missing name or an unknown label, NOT_FOUND for a model or version that is
                not available.
        """
        version = self._enter(spec)
        try:
            yield version.servable
        finally:
            with self._changed:
                version.uses -= 1
                if not version.uses and version.state == State.UNLOADING:
                    self._changed.notify_all()

    def _enter(self, spec):
        if not spec.name:
            raise ServingError(_INVALID, "ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        with self._changed:
            number = None
            if choice == "version":
                number = spec.version.value
            elif choice == "version_label" and spec.version_label:
                number = self._labels.get(spec.name, {}).get(spec.version_label)
                if number is None:
                    raise ServingError(_INVALID, f"Unrecognized servable version label: {spec.version_label}")
            model = self._models.get(spec.name)
            ready = [v for v in model.versions.values() if v.state == State.AVAILABLE] if model else []
            if number is None:
                version = max(ready, key=lambda v: v.number, default=None)
            else:
                version = next((v for v in ready if v.number == number), None)
            if version is None:
                wanted = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
                message = f"Servable not found for request: {wanted}"
                served = sorted(n for n, m in self._models.items() if any(v.servable for v in m.versions.values()))
                if spec.name not in served:  # upstream leaves this out
                    message += f". Models served: {', '.join(served) or 'none'}"
                raise ServingError(grpc.StatusCode.NOT_FOUND, message)
            version.uses += 1
            return version

    def base_path(self, name):
        """The base path that a model has or last had, None for a name that was never configured."""
        return self._paths.get(name)

    def is_configured(self, name):
        """True if the current configuration has the model; a removed model may still be unloading."""
        model = self._models.get(name)
        return model is not None and model.config is not None

    def status(self, name, number=None):
        """[(version, state, (code, message))] of a model or of one version; ServingError NOT_FOUND if there is none."""
        with self._changed:
            model = self._models.get(name, _Model())
            found = {n: (State.END, status) for n, status in model.ended.items()}
            found.update({v.number: (v.state, v.status) for v in model.versions.values()})
        if number is not None:
            if number not in found:
                raise ServingError(grpc.StatusCode.NOT_FOUND, f"Could not find version {number} of model {name}")
            found = {number: found[number]}
        elif not found:
            raise ServingError(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        return [(n, *found[n]) for n in sorted(found, reverse=True)]

    # ---- configuration

    def reload(self, config, *, timeout=None, stop=None, gone=None):
        """`apply`, and waits until each of the models has an available version.

        Args:
            timeout: seconds to wait; None: no limit.
            stop: an Event that ends the wait with `Stopped`.
            gone: a function that returns whether the client has gone; then nothing is applied, and the wait ends.

        Raises:
            ServingError: the configuration is invalid, all versions of a model failed, the timeout is over (the message
                has the contents of the base paths), or CANCELLED if `gone`.
        """
        if gone is not None and gone():
            raise ServingError(grpc.StatusCode.CANCELLED, "The client is gone")
        self.wait_available(self.apply(config), timeout=timeout, stop=stop, gone=gone)

    def apply(self, config):
        """Sets a new `ModelServerConfig`, starts loading and unloading, and returns the names of the models. An invalid
        configuration changes nothing and raises ServingError.
        """
        with self._reloading:
            kind = config.WhichOneof("config")
            if kind is None:
                _log.info("Taking no action for empty config.")
                return []
            if kind != "model_config_list":
                raise ServingError(_INVALID, "Only a model_config_list is supported")
            configs = list(config.model_config_list.config)
            check_configs(configs)
            with self._changed:
                labels = self._checked_labels(configs)
                for name in self._models.keys() - {c.name for c in configs}:
                    self._models[name].config = None
                    self._want(name, {})
                for one in configs:
                    self._models.setdefault(one.name, _Model()).config = one
                self._labels = labels
                self._paths.update({one.name: one.base_path for one in configs})
            self.poll()
            if self._poller is None and self._poll_wait:
                self._poller = threading.Thread(target=self._poll_for_ever, name="poll", daemon=True)
                self._poller.start()
        return [one.name for one in configs]

    def _checked_labels(self, configs):
        for config in configs:
            states = {v.number: v.state for v in self._models.get(config.name, _Model()).versions.values()}
            old = self._labels.get(config.name, {})
            for label, number in config.version_labels.items():
                # A label in use moves only to an available version.
                allowed = self._allow_labels and old.get(label, number) == number
                if states.get(number) != State.AVAILABLE and not allowed:
                    raise ServingError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of model {config.name}, which is not "
                        "currently available for inference",
                    )
        return {config.name: dict(config.version_labels) for config in configs}

    def missing(self, names):
        """What to say of the base paths of models that hold no version to be loaded: a list of texts."""
        with self._changed:
            models = [self._models[name] for name in names]
            return [model.missing.text for model in models if model.missing.text and not model.versions]

    def wait_available(self, names, *, timeout=None, stop=None, gone=None):
        """Waits until each model has an available version; for errors see `reload`."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                if self._waits_end.is_set() or (stop is not None and stop.is_set()):
                    raise Stopped
                waiting = [name for name in names if not self._is_available(name)]
                if not waiting:
                    return
                failed = [v for name in waiting for v in self._failed(name)]
                if failed:
                    reasons = ", ".join(f"{v} due to error: {v.status[0].name}: {v.status[1]}" for v in failed)
                    raise ServingError(grpc.StatusCode.UNKNOWN,
                                       f"{len(failed)} model(s) did not become available: {{{reasons}}}")  # fmt: skip
                if gone is not None and gone():
                    raise ServingError(grpc.StatusCode.CANCELLED, "The client is gone")
                if end is not None and time.monotonic() >= end:
                    missing = " ".join(self._models[name].missing.text or "" for name in waiting).rstrip()
                    raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED,
                                       f"Models not available in time: {waiting}. {missing}".rstrip(". "))  # fmt: skip
                self._changed.wait(0.2)

    def _is_available(self, name):
        return any(v.state == State.AVAILABLE for v in self._models[name].versions.values())

    def _failed(self, name):
        """The versions of a model if all of them have failed for good, else []."""
        versions = [v for v in self._models[name].versions.values() if v.wanted]
        return versions if versions and all(v.state == State.END for v in versions) else []

    # ---- file system

    def poll(self):
        """Searches for versions once and starts loading and unloading."""
        with self._polling:
            with self._changed:
                configs = {name: model.config for name, model in self._models.items() if model.config is not None}
            for name, config in configs.items():
                try:
                    found = find_versions(config.base_path)
                    chosen = choose_versions(found, config.model_version_policy)
                    missing = None if chosen else describe_missing(name, config, found)
                except (tf.errors.OpError, OSError) as error:
                    # If the file system fails, loaded versions keep serving.
                    chosen, missing = None, describe_unreadable(name, config, error)
                with self._changed:
                    model = self._models[name]
                    if model.config is not config:
                        continue
                    if missing:
                        model.missing.log(missing)
                    else:
                        model.missing.clear()
                    if chosen is not None:
                        model.scanned = True
                        self._want(name, chosen)

    def _poll_for_ever(self):
        while not self._stop.wait(self._poll_wait):
            try:
                self.poll()
            except Exception:  # if this thread died, the server would never load new versions
                _log.exception("Looking for versions failed")

    def _want(self, name, found):
        """Sets the versions that a model should have to {number: (path, stamp)}. The caller holds the lock."""
        model = self._models[name]
        for number, version in list(model.versions.items()):
            version.wanted = number in found
            if version.state == State.END and (not version.wanted or found[number][1] != version.stamp):
                self._forget(model, version)  # a failed version that was deleted or replaced
            elif version.wanted and version.state in (State.START, State.LOADING):
                version.stamp = found[number][1]  # written again between attempts: retry at once
        for number, (path, stamp) in found.items():
            if number not in model.versions:
                model.ended.pop(number, None)
                version = model.versions[number] = _Version(name, number, path, stamp)
                _log.info("Loading %s from %s", version, path)
                threading.Thread(target=self._load, args=(version,), name=f"load-{name}-{number}", daemon=True).start()
        self._retire(model)
        self._changed.notify_all()

    def _forget(self, model, version):
        del model.versions[version.number]
        model.ended[version.number] = version.status
        while len(model.ended) > MAX_ENDED:
            model.ended.popitem(last=False)

    def _retire(self, model):
        """Starts unloading the versions not wanted, if a wanted one is available. The caller holds the lock."""
        versions = list(model.versions.values())
        covered = not any(v.wanted for v in versions) or any(v.wanted and v.state == State.AVAILABLE for v in versions)
        for version in versions:
            if not version.wanted and version.state in (State.START, State.LOADING):
                version.cancelled.set()
            elif not version.wanted and covered and version.state == State.AVAILABLE:
                version.state = State.UNLOADING
                name = f"unload-{version.model}-{version.number}"
                threading.Thread(target=self._unload, args=(version,), name=name, daemon=True).start()

    def _load(self, version):
        for attempt in range(self._retries + 1):
            if attempt and not self._wait_for_retry(version):
                break
            with self._load_slots:
                if version.cancelled.is_set() or self._stop.is_set():
                    break
                self._set(version, State.LOADING)
                started = time.monotonic()
                try:
                    servable = self._load_servable(version.model, version.number, version.path)
                except Exception as error:
                    status = as_serving_error(error)
                    version.status = status.code, status.message
                    _log.error("Loading %s failed (attempt %d): %s", version, attempt + 1, status)
                    continue
            with self._changed:
                version.status = OK
                if not version.cancelled.is_set() and not self._stop.is_set():
                    version.servable = servable
                    self._set(version, State.AVAILABLE)
                    self._retire(self._models[version.model])
                    _log.info("%s is available after %.1f s", version, time.monotonic() - started)
                    return
            servable.close()
            break
        with self._changed:
            self._set(version, State.END)
            if not version.wanted or version.cancelled.is_set():  # wanted again: the next search loads it
                self._forget(self._models[version.model], version)

    def _wait_for_retry(self, version):
        """Waits for the retry interval, or until the version's files change; False if the version is no longer wanted."""
        stamp, end = version.stamp, time.monotonic() + self._interval
        while (left := end - time.monotonic()) > 0 and version.stamp == stamp:
            if version.cancelled.wait(min(left, 0.1)) or self._stop.is_set():
                return False
        return not version.cancelled.is_set()

    def _unload(self, version):
        with self._changed:
            self._changed.notify_all()
            while version.uses:
                self._changed.wait()
        version.servable.close()
        with self._changed:
            version.servable = None
            self._set(version, State.END)
            self._forget(self._models[version.model], version)
            _log.info("%s is unloaded", version)
            self._changed.notify_all()

    def _set(self, version, state):
        with self._changed:
            version.state = state
            self._changed.notify_all()

    def end_waits(self):
        """Ends running and later calls of `wait_available` with `Stopped`."""
        self._waits_end.set()

    def stop(self, timeout=10.0):
        """Unloads everything, after waiting for running requests for up to `timeout` seconds."""
        self.end_waits()
        self._stop.set()
        end = time.monotonic() + timeout
        with self._changed:
            for model in self._models.values():
                model.config = None
                for version in model.versions.values():
                    version.wanted = False
                self._retire(model)
            self._changed.notify_all()
            busy = (State.UNLOADING, State.LOADING)
            while any(v.state in busy for m in self._models.values() for v in m.versions.values()):
                if time.monotonic() >= end:
                    break
                self._changed.wait(0.2)
        if self._poller is not None:
            self._poller.join(timeout=5)


def check_configs(configs):
    """Raises TensorFlow Serving's error for an invalid list of ModelConfigs."""
    seen = set()
    for config in configs:
        if not config.name or config.name in (".", "..") or re.search(r"[/:\x00-\x1f\x7f]", config.name):
            raise ServingError(_INVALID, f"A model's name must not be empty and hold no '/', ':' or control character; "
                               f"received {config.name!r}")  # fmt: skip
        if config.name in seen:
            raise ServingError(_INVALID, f"Illegal to list model {config.name} multiple times in config list")
        seen.add(config.name)
        if not re.match(r"/|[A-Za-z][A-Za-z0-9+.-]*://", config.base_path):
            raise ServingError(_INVALID, f"Expected model {config.name} to have an absolute path or URI; "
                               f"got base_path()={config.base_path}")  # fmt: skip
        if config.model_type != model_server_config_pb2.MODEL_TYPE_UNSPECIFIED:
            if config.model_platform:
                raise ServingError(_INVALID, "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                                   "ModelServerConfig::model_platform.")  # fmt: skip
        elif not config.model_platform:
            raise ServingError(_INVALID, "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                               "ModelServerConfig::model_platform.")  # fmt: skip
        elif config.model_platform != PLATFORM:
            raise ServingError(_INVALID, f"Platform {config.model_platform!r} is not served; only {PLATFORM!r} is")
        policy = config.model_version_policy
        if policy.WhichOneof("policy_choice") == "latest" and policy.latest.num_versions < 0:
            raise ServingError(_INVALID, f"num_versions of model {config.name} must be positive")
        if policy.WhichOneof("policy_choice") == "specific" and not policy.specific.versions:
            raise ServingError(_INVALID, f"The specific version policy of model {config.name} names no version")


def find_versions(base_path):
    """{number: (path, stamp)} of the complete versions in a base path; the stamp changes with `saved_model.pb`. Versions
    have names of digits only, with or without leading zeros. Errors of the file system are raised.
    """
    found = {}
    for name in sorted(tf.io.gfile.listdir(base_path)):
        name = name.rstrip("/")
        # within int64, and only ASCII digits
        if not re.fullmatch(r"[0-9]{1,32}", name) or int(name) >= 2**63:
            continue
        path = f"{base_path.rstrip('/')}/{name}"
        try:
            stat = tf.io.gfile.stat(f"{path}/saved_model.pb")
        except tf.errors.OpError:
            continue  # still being written
        if stat.is_directory:
            continue
        if int(name) in found:
            _log.warning("Duplicate version %s in %s is ignored", name, base_path)
            continue
        found[int(name)] = path, (stat.length, stat.mtime_nsec)
    return found


def describe_unreadable(name, config, error):
    """The message for a base path that the file system cannot list."""
    if isinstance(error, (tf.errors.NotFoundError, FileNotFoundError)):
        return (f"Could not find base path {config.base_path} for servable {name}. Expected: a folder whose numbered "
                "folders are versions of the model.")  # fmt: skip
    reason = error.message if isinstance(error, tf.errors.OpError) else error
    return f"Cannot look for versions of servable {name} under base path {config.base_path}: {reason}"


def describe_missing(name, config, found):
    """The message for a base path without a version to load: its contents, and what is expected.

    Args:
        found: the versions in it that the policy does not choose, as from `find_versions`.
    """
    base = config.base_path.rstrip("/")
    entries = sorted(entry.rstrip("/") for entry in tf.io.gfile.listdir(base))
    expected = f"Expected: {base}/1/saved_model.pb, or another number."
    if found:
        wanted = ", ".join(map(str, config.model_version_policy.specific.versions))
        what, expected = f"It has {_listed(map(str, sorted(found)))}", f"The policy asks for {wanted}."
    elif "saved_model.pb" in entries:
        what, expected = "It is the folder of one version", f"Expected: the folder around it, {base.rpartition('/')[0]}."
    elif "config.json" in entries:
        what, expected = "It is a run folder", f"Export the model: tfgen export --workdir {base} --to FOLDER"
    elif numbers := [entry for entry in entries if re.fullmatch(r"[0-9]{1,32}", entry)]:
        what = f"{_listed(numbers)} in it have no saved_model.pb, so they are not complete"
    elif entries:
        what = f"It has {_listed(entries)}"
    else:
        what = "It is empty"
    return f"No versions of servable {name} found under base path {config.base_path}. {what}. {expected}"


def _listed(names):
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def choose_versions(found, policy):
    """The part of {number: ...} that a ServableVersionPolicy selects; the default is the latest version."""
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return found
    if choice == "specific":
        return {n: found[n] for n in policy.specific.versions if n in found}
    return {n: found[n] for n in sorted(found, reverse=True)[: policy.latest.num_versions or 1]}
