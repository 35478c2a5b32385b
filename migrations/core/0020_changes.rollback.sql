DROP TRIGGER settings_changed ON settings;
DROP FUNCTION notify_change();
