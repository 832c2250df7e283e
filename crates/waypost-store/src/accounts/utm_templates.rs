//! UTM templates of an account: parameters for visitors from certain sites, on all of its links.

use sqlx::any::AnyRow;
use waypost_core::id::{AccountId, UtmTemplateId};
use waypost_core::record::{UtmTemplate, Utms};
use waypost_sql::{Constraint, Statement};

use crate::dialect;
use crate::error::StoreError;
use crate::links::versions::KEEP_VERSIONS_SQL;
use crate::rows::{Columns, account_number, new_id};
use crate::tx::{ReadTx, Tx};

/// The most templates of one account; each is looked at on every redirect of its links.
pub(crate) const UTM_TEMPLATES_MAX: usize = 100;

/// A UTM template to be made or put in another's place.
#[derive(Clone, Debug)]
pub struct NewUtmTemplate {
    /// What people call it.
    pub name: String,
    /// Which sites, which parameters.
    pub template: UtmTemplate,
}

/// A UTM template of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountUtmTemplate {
    /// Its id.
    pub utm_template_id: UtmTemplateId,
    /// What people call it.
    pub name: String,
    /// Which sites, which parameters.
    pub template: UtmTemplate,
}

fn read_template(row: &AnyRow) -> Result<AccountUtmTemplate, StoreError> {
    let columns = Columns::new(row, "utm template");
    let platform_domains: String = columns.get("platform_domains")?;
    let template = UtmTemplate {
        platform_domains: serde_json::from_str(&platform_domains)
            .map_err(|error| columns.corrupt("platform_domains", &error))?,
        utms: Utms {
            utm_source: columns.get("utm_source")?,
            utm_medium: columns.get("utm_medium")?,
            utm_campaign: columns.get("utm_campaign")?,
            utm_term: columns.get("utm_term")?,
            utm_content: columns.get("utm_content")?,
        },
    };
    Ok(AccountUtmTemplate { utm_template_id: columns.id("id")?, name: columns.get("name")?, template })
}

fn domains_json(template: &UtmTemplate) -> String {
    serde_json::to_string(&template.platform_domains).expect("a list of texts always has a JSON form")
}

impl ReadTx {
    /// The account's templates in the order in which they are tried.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list_utm_templates(&mut self, account_id: &AccountId) -> Result<Vec<AccountUtmTemplate>, StoreError> {
        let statement = Statement::new(
            "SELECT id, name, platform_domains, utm_source, utm_medium, utm_campaign, utm_term, utm_content
             FROM utm_templates WHERE account_id = $1 ORDER BY position, id",
        );
        self.fetch_all(statement.bind(account_number(account_id))).await?.iter().map(read_template).collect()
    }

    pub(crate) async fn utm_templates_of(&mut self, account_id: &AccountId) -> Result<Vec<UtmTemplate>, StoreError> {
        Ok(self.list_utm_templates(account_id).await?.into_iter().map(|template| template.template).collect())
    }
}

impl Tx {
    /// Adds a template after the account's others. All live links of the account get a new version.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] where the account has 100 already; [`StoreError::NotFound`] where there is no such account.
    pub async fn create_utm_template(
        &mut self,
        account_id: &AccountId,
        new: &NewUtmTemplate,
        changed_by: Option<&str>,
    ) -> Result<AccountUtmTemplate, StoreError> {
        if self.list_utm_templates(account_id).await?.len() >= UTM_TEMPLATES_MAX {
            return Err(StoreError::TooMany { what: "utm templates", max: UTM_TEMPLATES_MAX });
        }
        let utm_template_id = UtmTemplateId::from_uuid_bytes(new_id());
        let utms = &new.template.utms;
        let statement = Statement::new(
            "INSERT INTO utm_templates (id, account_id, position, name, platform_domains,
               utm_source, utm_medium, utm_campaign, utm_term, utm_content)
             VALUES ($1, $2, (SELECT coalesce(max(position), 0) + 1 FROM utm_templates WHERE account_id = $2),
               $3, $4, $5, $6, $7, $8, $9)
             RETURNING id, name, platform_domains, utm_source, utm_medium, utm_campaign, utm_term, utm_content",
        )
        .bind(utm_template_id.as_str())
        .bind(account_number(account_id))
        .bind(new.name.as_str())
        .bind(domains_json(&new.template))
        .bind(utms.utm_source.as_deref())
        .bind(utms.utm_medium.as_deref())
        .bind(utms.utm_campaign.as_deref())
        .bind(utms.utm_term.as_deref())
        .bind(utms.utm_content.as_deref());
        let row = self
            .insert_row(statement, |constraint| match constraint {
                Constraint::Unique | Constraint::ForeignKey => StoreError::NotFound { what: "account" },
            })
            .await?;
        self.publish_all_links(account_id, changed_by).await?;
        read_template(&row)
    }

    /// Puts another template in a template's place. All live links of the account get a new version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the account has no such template.
    pub async fn update_utm_template(
        &mut self,
        account_id: &AccountId,
        utm_template_id: &UtmTemplateId,
        new: &NewUtmTemplate,
        changed_by: Option<&str>,
    ) -> Result<AccountUtmTemplate, StoreError> {
        let utms = &new.template.utms;
        let statement = Statement::new(
            "UPDATE utm_templates SET name = $3, platform_domains = $4,
               utm_source = $5, utm_medium = $6, utm_campaign = $7, utm_term = $8, utm_content = $9
             WHERE account_id = $1 AND id = $2
             RETURNING id, name, platform_domains, utm_source, utm_medium, utm_campaign, utm_term, utm_content",
        )
        .bind(account_number(account_id))
        .bind(utm_template_id.as_str())
        .bind(new.name.as_str())
        .bind(domains_json(&new.template))
        .bind(utms.utm_source.as_deref())
        .bind(utms.utm_medium.as_deref())
        .bind(utms.utm_campaign.as_deref())
        .bind(utms.utm_term.as_deref())
        .bind(utms.utm_content.as_deref());
        let row = self.fetch_optional(statement).await?.ok_or(StoreError::NotFound { what: "utm template" })?;
        self.publish_all_links(account_id, changed_by).await?;
        read_template(&row)
    }

    /// Removes a template. All live links of the account get a new version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the account has no such template.
    pub async fn delete_utm_template(
        &mut self,
        account_id: &AccountId,
        utm_template_id: &UtmTemplateId,
        changed_by: Option<&str>,
    ) -> Result<(), StoreError> {
        let statement = Statement::new("DELETE FROM utm_templates WHERE account_id = $1 AND id = $2");
        if self.execute(statement.bind(account_number(account_id)).bind(utm_template_id.as_str())).await? == 0 {
            return Err(StoreError::NotFound { what: "utm template" });
        }
        self.publish_all_links(account_id, changed_by).await
    }

    /// Gives every live link of the account a new version, because something all of them share has changed. The database
    /// does it alone: no row passes through this process.
    async fn publish_all_links(&mut self, account_id: &AccountId, changed_by: Option<&str>) -> Result<(), StoreError> {
        let kept = Statement::new(format!("{KEEP_VERSIONS_SQL} AND account_id = $1"));
        self.execute(kept.bind(account_number(account_id))).await?;
        let links = Statement::new(
            "UPDATE links SET version = version + 1, updated_at = $2, changed_by = $3
             WHERE account_id = $1 AND deleted_at IS NULL",
        );
        let links = links.bind(account_number(account_id)).bind(self.now().as_micros()).bind(changed_by);
        self.execute(links).await?;
        let outbox_entries =
            dialect::publish_sql(self.engine(), "links AS l WHERE l.account_id = $1 AND l.deleted_at IS NULL");
        let outbox_entries = Statement::new(outbox_entries);
        self.execute(outbox_entries.bind(account_number(account_id))).await.map(drop)
    }
}
