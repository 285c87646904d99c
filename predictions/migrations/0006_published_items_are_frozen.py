from django.db import migrations

FREEZE = """
CREATE FUNCTION predictions_refuse_change_of_published_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.version_id, NEW.key, NEW.sample_index, NEW.prompt, NEW.messages, NEW."references", NEW.validators, NEW.tags, NEW.weight,
        NEW.notes)
       IS DISTINCT FROM
       (OLD.version_id, OLD.key, OLD.sample_index, OLD.prompt, OLD.messages, OLD."references", OLD.validators, OLD.tags, OLD.weight,
        OLD.notes)
       AND EXISTS (SELECT FROM predictions_predictionsetversion WHERE id = OLD.version_id AND content_hash <> '')
    THEN
        RAISE EXCEPTION 'Item % belongs to a published version, which cannot be changed.', OLD.key USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER published_item_is_frozen BEFORE UPDATE ON predictions_predictionsetitem
    FOR EACH ROW EXECUTE FUNCTION predictions_refuse_change_of_published_item();

CREATE FUNCTION predictions_refuse_change_of_published_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.content_hash <> '' AND (NEW.prediction_set_id, NEW.number, NEW.content_hash, NEW.item_count, NEW.validators, NEW.pass_threshold)
       IS DISTINCT FROM (OLD.prediction_set_id, OLD.number, OLD.content_hash, OLD.item_count, OLD.validators, OLD.pass_threshold)
    THEN
        RAISE EXCEPTION 'Version % is published and cannot be changed.', OLD.number USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER published_version_is_frozen BEFORE UPDATE ON predictions_predictionsetversion
    FOR EACH ROW EXECUTE FUNCTION predictions_refuse_change_of_published_version();
"""
THAW = """
DROP TRIGGER published_item_is_frozen ON predictions_predictionsetitem;
DROP TRIGGER published_version_is_frozen ON predictions_predictionsetversion;
DROP FUNCTION predictions_refuse_change_of_published_item();
DROP FUNCTION predictions_refuse_change_of_published_version();
"""


class Migration(migrations.Migration):

    dependencies = [("predictions", "0005_curated_sets")]

    operations = [migrations.RunSQL(FREEZE, THAW)]
