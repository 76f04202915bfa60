//! Where mutants are in a file, and which text around each can be chosen at run time.

use std::collections::HashMap;
use std::ops::Range;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr};

use crate::list::{Genre, Place};

/// How a mutant is made one of several behaviours of the same program.
#[derive(Clone, Debug)]
pub(crate) enum Site {
    /// The function returns, before this byte.
    Return(usize),
    /// This expression is another.
    Expression(Range<usize>),
    /// The pattern that ends before this byte gets a guard.
    Pattern(usize),
    /// This guard is extended.
    Guard(Range<usize>),
    /// Only by a build of its own: what is evaluated by the compiler, or has a type without a name.
    Alone,
    /// It is no Rust: `||` beside `let`.
    Nothing,
}

/// The sites of a file, by what is changed and where that begins.
pub(crate) fn sites(code: &str) -> Result<HashMap<(Genre, Place), Site>, String> {
    let file = syn::parse_file(code).map_err(|error| error.to_string())?;
    let mut finder = Finder::default();
    finder.visit_file(&file);
    Ok(finder.sites)
}

#[derive(Default)]
struct Finder {
    sites: HashMap<(Genre, Place), Site>,
    /// How deep in what the compiler evaluates.
    constant: usize,
    /// The outermost operators of the expression that is being looked at: its range.
    chain: Option<Range<usize>>,
}

fn begin(span: Span) -> Place {
    (span.start().line, span.start().column + 1)
}

/// Whether the operands of `&&` are conditions of a chain with `let`.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) if matches!(binary.op, BinOp::And(_)) => {
            has_let(&binary.left) || has_let(&binary.right)
        }
        _ => false,
    }
}

impl Finder {
    fn add(&mut self, genre: Genre, span: Span, site: Site) {
        let site = if self.constant > 0 { Site::Alone } else { site };
        self.sites.insert((genre, begin(span)), site);
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) -> usize {
        let constant = usize::from(signature.constness.is_some());
        self.constant += constant;
        if let Some(first) = block.stmts.first() {
            let nameless = match &signature.output {
                syn::ReturnType::Default => false,
                syn::ReturnType::Type(_, returned) => has_impl(returned),
            };
            let at = first.span().byte_range().start;
            let site = if nameless { Site::Alone } else { Site::Return(at) };
            self.add(Genre::Function, first.span(), site);
        }
        constant
    }

    fn fields(&mut self, node: &syn::ExprStruct) {
        if node.rest.is_some() {
            for field in &node.fields {
                let range = node.span().byte_range();
                self.add(Genre::Field, field.span(), Site::Expression(range));
            }
        }
    }

    /// What is no operand of an operator begins a chain of its own.
    fn apart(&mut self, look: impl FnOnce(&mut Self)) {
        let chain = self.chain.take();
        look(self);
        self.chain = chain;
    }
}

fn has_impl(returned: &syn::Type) -> bool {
    struct Looker(bool);
    impl Visit<'_> for Looker {
        fn visit_type_impl_trait(&mut self, _: &syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut looker = Looker(false);
    looker.visit_type(returned);
    looker.0
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        let constant = self.function(&node.sig, &node.block);
        self.apart(|finder| visit::visit_item_fn(finder, node));
        self.constant -= constant;
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        let constant = self.function(&node.sig, &node.block);
        self.apart(|finder| visit::visit_impl_item_fn(finder, node));
        self.constant -= constant;
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        if let Some(block) = &node.default {
            let constant = self.function(&node.sig, block);
            self.apart(|finder| visit::visit_trait_item_fn(finder, node));
            self.constant -= constant;
        }
    }

    fn visit_item_const(&mut self, node: &'ast syn::ItemConst) {
        self.constant += 1;
        visit::visit_item_const(self, node);
        self.constant -= 1;
    }

    fn visit_impl_item_const(&mut self, node: &'ast syn::ImplItemConst) {
        self.constant += 1;
        visit::visit_impl_item_const(self, node);
        self.constant -= 1;
    }

    fn visit_item_static(&mut self, node: &'ast syn::ItemStatic) {
        self.constant += 1;
        visit::visit_item_static(self, node);
        self.constant -= 1;
    }

    fn visit_expr(&mut self, node: &'ast Expr) {
        match node {
            Expr::Binary(_) => visit::visit_expr(self, node),
            _ => self.apart(|finder| visit::visit_expr(finder, node)),
        }
    }

    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        let range = self.chain.clone().unwrap_or_else(|| node.span().byte_range());
        let mixed =
            matches!(node.op, BinOp::And(_)) && (has_let(&node.left) || has_let(&node.right));
        let site = if mixed { Site::Nothing } else { Site::Expression(range.clone()) };
        self.add(Genre::Binary, node.op.span(), site);
        for operand in [&node.left, &node.right] {
            // What has a `let` cannot be put into parentheses; its operands can.
            self.chain = (!mixed).then(|| range.clone());
            self.visit_expr(operand);
        }
        self.chain = None;
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        let range = node.span().byte_range();
        self.add(Genre::Unary, node.op.span(), Site::Expression(range));
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast syn::ExprMatch) {
        visit::visit_expr_match(self, node);
        let catches = |arm: &syn::Arm| matches!(arm.pat, syn::Pat::Wild(_)) && arm.guard.is_none();
        if !node.arms.iter().any(catches) {
            // With guards on all arms the match is not exhaustive, though without the arm it may be.
            for arm in &node.arms {
                self.sites.insert((Genre::Arm, begin(arm.span())), Site::Alone);
            }
        }
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        let end = node.pat.span().byte_range().end;
        self.add(Genre::Arm, node.span(), Site::Pattern(end));
        if let Some((_, guard)) = &node.guard {
            self.add(Genre::Guard, guard.span(), Site::Guard(guard.span().byte_range()));
        }
        visit::visit_arm(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast syn::ExprStruct) {
        self.fields(node);
        visit::visit_expr_struct(self, node);
    }
}
